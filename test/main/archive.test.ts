// Ended jobs in the archive, seen over HTTP: an api that moves them, and a worker on another host
// that predicts with an archived model.
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

const digits = readFileSync(new URL("../../examples/digits.csv", import.meta.url));
const json = { "content-type": "application/json" };

let redis: TestRedis;
let api: ServiceProcess;
let address: string;
const directories: string[] = [];
const services: ServiceProcess[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  const store = makeDataDirectory();
  directories.push(store);
  api = await start("api", { RAPPEL_STORE_URL: `file://${store}/archive`, RAPPEL_LOG_LEVEL: "debug" });
  address = (await api.ready).address!;
  await start("worker", { RAPPEL_API_URL: address });
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await redis.stop();
  for (const directory of directories) rmSync(directory, { recursive: true });
});

async function start(role: string, env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
  const directory = makeDataDirectory();
  directories.push(directory);
  const service = await startService({
    env: { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, ...env },
    args: ["--role", role],
  });
  services.push(service);
  await service.ready;
  return service;
}

interface Body {
  id: string;
  status: string;
  error: unknown;
  code: string;
}

async function call(path: string, init: RequestInit = {}): Promise<{ status: number; body: Body }> {
  const response = await fetch(address + path, init);
  return { status: response.status, body: (await response.json()) as Body };
}

async function untilEnded(path: string): Promise<Body> {
  for (;;) {
    const { body } = await call(path);
    if (!["queued", "running"].includes(body.status)) return body;
    await sleep(20);
  }
}

/** Whether all that ended is in the archive, and what it left behind in Redis is gone. */
async function untilArchived(): Promise<void> {
  const client = redis.client();
  while ((await client.exists("{rappel}:unarchived")) === 1) await sleep(20);
  for (const key of await client.keys("*:chunk:*")) await client.del(key);
  client.disconnect();
}

async function answers(job: string) {
  const paths = ["", "/model", "/model/description", "/evaluation", "/metrics", "/events", "/checkpoints", "/progress"];
  return await Promise.all(
    paths.map(async (path) => {
      const response = await fetch(address + job + path);
      const { status, headers } = response;
      return [path, status, headers.get("etag"), Buffer.from(await response.arrayBuffer()).toString("base64")];
    }),
  );
}

test("every route answers the same for an archived job, and a worker elsewhere predicts with its model", async () => {
  const upload = { method: "POST", headers: { "content-type": "text/csv" }, body: digits };
  const dataset = (await call("/v1/datasets", upload)).body;
  const spec = {
    data: { dataset: dataset.id, target: "target", validation: { fraction: 0.2 } },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 2, batch_size: 64 },
  };
  const { body } = await call("/v1/jobs", { method: "POST", headers: json, body: JSON.stringify(spec) });
  const job = `/v1/jobs/${body.id}`;
  expect(await untilEnded(job)).toMatchObject({ status: "succeeded" });
  const before = await answers(job);
  await untilArchived();
  expect(await answers(job)).toEqual(before);
  expect(before.map(([, status]) => status)).toEqual(before.map(() => 200));
  expect((await (await fetch(`${address}/metrics`)).text()).split("\n")).toContain("rappel_archive_jobs 1");

  const asked = { method: "POST", headers: json, body: JSON.stringify({ dataset: dataset.id }) };
  const prediction = (await call(`${job}/predictions`, asked)).body;
  expect(await untilEnded(`${job}/predictions/${prediction.id}`)).toMatchObject({ status: "succeeded", error: null });
  expect(api.log.some(({ url }) => String(url).startsWith("/internal/archive/"))).toBe(true);

  // Nobody without a ticket reads the archive.
  const [segment] = readdirSync(join(directories[0], "archive")).filter((name) => name.endsWith(".segment"));
  const open = await call(`/internal/archive/${segment}?offset=0&bytes=100`);
  expect([open.status, open.body.code]).toEqual([401, "unauthorized"]);

  renameSync(join(directories[0], "archive", segment), join(directories[0], segment));
  for (const path of ["", "/model", "/events"]) {
    const response = await fetch(address + job + path);
    const { code } = (await response.json()) as Body;
    expect([path, response.status, code, response.headers.get("retry-after")]).toEqual([
      path,
      503,
      "unavailable",
      "30",
    ]);
  }
  renameSync(join(directories[0], segment), join(directories[0], "archive", segment));
  expect(await answers(job)).toEqual(before);

  const forked = await call(`${job}/fork`, { method: "POST", headers: json, body: JSON.stringify({ step: "final" }) });
  expect([forked.status, forked.body]).toEqual([201, forked.body]);
  expect(await untilEnded(`/v1/jobs/${forked.body.id}`)).toMatchObject({ status: "succeeded" });
  expect((await fetch(address + job, { method: "DELETE" })).status).toBe(204);
  expect((await fetch(address + job)).status).toBe(404);
});

test("with an outside Redis and no directory for all apis, results stay in Redis, and the start says so", async () => {
  const other = await start("api", {});
  expect(other.log.filter(({ msg }) => String(msg).includes("RAPPEL_STORE_URL"))).toHaveLength(1);
  expect(other.log.filter(({ msg }) => String(msg).includes("stay in Redis"))).toHaveLength(1);
  // Redis has jobs in an archive that this one cannot read.
  const ready = await fetch(`${(await other.ready).address}/readyz`);
  const health = (await ready.json()) as { status: string; checks: { archive: string } };
  expect([ready.status, health.status]).toEqual([200, "degraded"]);
  expect(health.checks.archive).toMatch(/set RAPPEL_STORE_URL/);
});
