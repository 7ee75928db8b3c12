/**
 * The API over a real Redis and real files. Every response is held to openapi.yaml on its way to
 * the test.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { pino, type Logger } from "pino";
import request, { type Response } from "supertest";
import { buildApp } from "../../src/api/app.ts";
import type { Services } from "../../src/api/services.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { WakeUps } from "../../src/queue/wake-ups.ts";
import { Predictor } from "../../src/predict/predictor.ts";
import { News } from "../../src/queue/news.ts";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { SetEnds } from "../../src/set-ends.ts";
import { Store } from "../../src/store/store.ts";
import { connected } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { assertDescribed } from "./described.ts";

interface Call {
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Service {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly queue: WakeUps;
  readonly files: DatasetFiles;
  readonly news: News;
  readonly redis: TestRedis;
  /** Where the datasets are. */
  readonly directory: string;
  /** The files in the dataset directory. */
  onDisk(): string[];
  /** What they take together. */
  bytesOnDisk(): number;
  call(method: "GET" | "POST" | "DELETE" | "PUT" | "HEAD", url: string, call?: Call): Promise<Response>;
  upload(csv: string, headers?: Record<string, string>): Promise<Dataset>;
  create(spec: unknown, headers?: Record<string, string>): Promise<Job>;
  stop(): Promise<void>;
}

const MiB = 2 ** 20;

export async function startService(
  config: Partial<Services["config"]> = {},
  directory = mkdtempSync(join(tmpdir(), "rappel-api-")),
  log: Logger = pino({ level: "silent" }),
): Promise<Service> {
  const redis = await startTestRedis();
  const connection = await connected(redis);
  const store = new Store(connection);
  const isNeeded = async (name: string) => (await store.datasets.references(name)) > 0;
  const files = new DatasetFiles(directory, undefined, isNeeded);
  await files.prepare();
  const queue = new WakeUps(connection);
  const news = new News(redis.client({ maxRetriesPerRequest: null }));
  const predictor = new Predictor({ threads: 1, maxModelBytes: 64 * MiB });
  const limits = { maxDatasetBytes: MiB, maxJobBytes: 64 * MiB, maxStateBytes: 8 * MiB, redisMaxBytes: 256 * MiB };
  const app = await buildApp({
    store,
    files,
    queue,
    news,
    predictor,
    queues: [queue.bull],
    config: {
      apiKeys: [],
      host: "127.0.0.1",
      adminKey: null,
      requestsPerMinute: null,
      webhookHosts: [],
      webhookSecrets: new Map(),
      ...limits,
      ...config,
    },
    checks: { redis: () => store.ping(), room: () => store.fullness(), disk: () => files.probe() },
    livenessChecks: {},
    log,
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
    files,
    news,
    redis,
    directory,
    call,
    onDisk: () => readdirSync(directory),
    bytesOnDisk: () =>
      readdirSync(directory).reduce(
        (sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      ),
    upload: async (csv, headers = {}) =>
      created(await call("POST", "/v1/datasets", { body: csv, headers: { "content-type": "text/csv", ...headers } })),
    create: async (spec, headers) => created(await call("POST", "/v1/jobs", { body: spec as object, headers })),
    async stop() {
      await Promise.all([app.close(), predictor.close()]);
      await queue.close();
      news.close();
      await redis.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Ends the sets of models of a service. The caller closes it. */
export function openSetEnds(service: Service): SetEnds {
  return new SetEnds({ ...service, log: pino({ level: "silent" }), isSafe: async () => true });
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
export function specFor(dataset: string | string[], changes: Record<string, unknown> = {}) {
  return {
    data: { dataset, target: "label", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 8 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 3, batch_size: 4 },
    ...changes,
  };
}
