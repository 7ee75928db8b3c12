/** The API over a real Redis and real files. Every response is held to openapi.yaml on its way to the test. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import request, { type Response } from "supertest";
import { parse } from "yaml";
import { buildApp } from "../../src/api/app.ts";
import type { Services } from "../../src/api/services.ts";
import { DatasetFiles } from "../../src/data/files.ts";
import { Deliveries } from "../../src/queue/deliveries.ts";
import { News } from "../../src/queue/news.ts";
import type { Dataset, Job } from "../../src/spec/wire.ts";
import { Store } from "../../src/store/store.ts";
import { connected } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

interface Call {
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Service {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly queue: Deliveries;
  readonly redis: TestRedis;
  /** Where the datasets are. */
  readonly directory: string;
  /** The files in the dataset directory. */
  onDisk(): string[];
  call(method: "GET" | "POST" | "DELETE" | "PUT" | "HEAD", url: string, call?: Call): Promise<Response>;
  upload(csv: string, headers?: Record<string, string>): Promise<Dataset>;
  create(spec: unknown, headers?: Record<string, string>): Promise<Job>;
  stop(): Promise<void>;
}

const MiB = 2 ** 20;

export async function startService(config: Partial<Services["config"]> = {}): Promise<Service> {
  const redis = await startTestRedis();
  const connection = await connected(redis);
  const directory = mkdtempSync(join(tmpdir(), "rappel-api-"));
  const files = new DatasetFiles(directory);
  await files.prepare();
  const store = new Store(connection);
  const queue = new Deliveries(connection);
  const news = new News(redis.client({ maxRetriesPerRequest: null }));
  const limits = { maxDatasetBytes: MiB, maxJobBytes: 64 * MiB, maxStateBytes: 8 * MiB, redisMaxBytes: 256 * MiB };
  const app = await buildApp({
    store,
    files,
    queue,
    news,
    queues: [queue.bull],
    config: {
      apiKeys: [],
      adminKey: null,
      requestsPerMinute: null,
      webhookHosts: [],
      webhookSecrets: new Map(),
      ...limits,
      ...config,
    },
    checks: { redis: () => store.ping() },
    vitals: {},
    log: pino({ level: "silent" }),
  });
  await app.listen({ port: 0 });

  const call: Service["call"] = async (method, url, { body, headers = {} } = {}) => {
    const agent = request(app.server);
    const verb = method.toLowerCase() as "get" | "post" | "delete" | "put" | "head";
    const response = await agent[verb](url)
      .set(headers)
      .send(body as string);
    assertDescribed(method, url, response);
    return response;
  };
  const created = (response: Response) => {
    if (response.status !== 200 && response.status !== 201) throw new Error(response.text);
    return response.body;
  };
  return {
    app,
    store,
    queue,
    redis,
    directory,
    call,
    onDisk: () => readdirSync(directory),
    upload: async (csv, headers = {}) =>
      created(await call("POST", "/v1/datasets", { body: csv, headers: { "content-type": "text/csv", ...headers } })),
    create: async (spec, headers) => created(await call("POST", "/v1/jobs", { body: spec as object, headers })),
    async stop() {
      await app.close();
      await queue.close();
      news.close();
      await redis.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

const openapi = parse(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8")) as {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, unknown> }> }>>;
};
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(openapi, "api");

/** @throws Error unless openapi.yaml allows this response. */
function assertDescribed(method: string, url: string, response: Response): void {
  if (!response.headers["x-request-id"]) throw new Error(`${method} ${url} has no x-request-id`);
  const path = Object.keys(openapi.paths).find((template) => matches(template, url.split("?")[0]));
  const route = path && openapi.paths[path][method.toLowerCase()];
  const type = response.headers["content-type"]?.split(";")[0];
  if (!path || !route) {
    // What no route says about itself: paths and methods that are unknown, and HEAD.
    if (response.status >= 400 && method !== "HEAD") assertValid("/components/schemas/Problem", response.body);
    return;
  }
  const described = route.responses[response.status];
  if (!described) throw new Error(`${method} ${path} does not describe ${response.status}: ${response.text}`);
  if (!described.content) return;
  if (!(type in described.content)) throw new Error(`${method} ${path} does not describe ${type}`);
  if (!type.endsWith("json")) return;
  const parts = ["paths", path, method.toLowerCase(), "responses", String(response.status), "content", type, "schema"];
  assertValid(`/${parts.map((part) => part.replaceAll("/", "~1")).join("/")}`, response.body);
}

function matches(template: string, path: string): boolean {
  return new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path);
}

function assertValid(fragment: string, body: unknown): void {
  const validate = ajv.compile({ $ref: `api#${encodeURI(fragment)}` });
  if (validate(body)) return;
  throw new Error(`${fragment}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`);
}

/** 20 rows: two numbers, a colour, a class, a price. */
export const csv = [
  "x,y,colour,label,price",
  ...Array.from({ length: 20 }, (_, i) => {
    const colour = ["red", "green", "blue"][i % 3];
    return `${i},${(i * 7) % 5},${colour},${i % 2 === 0 ? "cat" : "dog"},${i / 4}`;
  }),
].join("\n");

/** A small sound spec; `changes` replaces whole sections. */
export function specFor(dataset: string, changes: Record<string, unknown> = {}) {
  return {
    data: { dataset, target: "label", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 8 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 3, batch_size: 4 },
    ...changes,
  };
}
