// A set of models in whole services that are killed, lose their Redis or their disk in the middle:
// its result is the one of an undisturbed run.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { isRunning, type ProcessIdentity } from "../../src/redis/process.ts";
import { smallDisk } from "../support/disk.ts";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";
import { startReceiver } from "../webhooks/receiver.ts";

/** 4 folds and 400 seeds. */
const MODELS = 1600;
const set = {
  data: { synthetic: { type: "spirals", rows: 200 }, target: "target", validation: { folds: 4, seed: 1 } },
  model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam", lr: 0.01 },
  training: { epochs: 30, batch_size: 16, seed: 2, seeds: 400 },
};

const services: ServiceProcess[] = [];
const directories: string[] = [];
let redis: TestRedis;
let undisturbed: Job;

beforeAll(async () => {
  redis = await startTestRedis();
  const service = await start(newDirectory(), { REDIS_URL: redis.url });
  undisturbed = await ended(service, await post(service));
  expect(undisturbed).toMatchObject({ status: "succeeded", models: { succeeded: MODELS } });
  await service.stop();
});
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop();
});
afterAll(async () => {
  await redis.stop();
  for (const directory of directories) rmSync(directory, { recursive: true });
});

function newDirectory(): string {
  directories.push(makeDataDirectory());
  return directories.at(-1)!;
}

async function start(directory: string, env: NodeJS.ProcessEnv = {}, role = "all"): Promise<ServiceProcess> {
  const settings = { RAPPEL_DATA_DIR: directory, RAPPEL_LEASE_MS: "1000", RAPPEL_JOBS: "2", ...env };
  const service = await startService({ env: settings, args: ["--role", role] });
  services.push(service);
  await service.ready;
  return service;
}

async function post(service: ServiceProcess, changes: object = {}, headers: object = {}): Promise<string> {
  const { address } = await service.ready;
  const response = await fetch(`${address}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ ...set, ...changes }),
  });
  const body = (await response.json()) as Job;
  expect([response.status, body]).toEqual([201, body]);
  return body.id;
}

/** Waits until the job is so. While the service has no Redis it answers 503. */
async function until(service: ServiceProcess, id: string, wanted: (job: Job) => boolean, headers = {}): Promise<Job> {
  const { address } = await service.ready;
  for (;;) {
    const response = await fetch(`${address}/v1/jobs/${id}`, { headers });
    if (response.status === 200) {
      const job = (await response.json()) as Job;
      if (wanted(job)) return job;
    } else {
      expect(response.status).toBe(503);
      await response.body?.cancel();
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const isOver = ({ status }: Job) => ["succeeded", "failed", "cancelled"].includes(status);

async function ended(service: ServiceProcess, id: string, headers = {}): Promise<Job> {
  return await until(service, id, isOver, headers);
}

/** Waits until more models have ended, but not all. */
async function more(service: ServiceProcess, id: string): Promise<void> {
  const { models } = await until(service, id, () => true);
  const now = await until(service, id, (job) => job.models!.ended > models!.ended);
  expect(now.status).toBe("running");
}

function expectTheSame(job: Job): void {
  const { result, models } = undisturbed;
  expect(job).toMatchObject({ status: "succeeded", error: null, models, result });
}

/** Kills the embedded Redis, and waits until it is gone. */
async function killRedis(directory: string): Promise<void> {
  const file = join(directory, "redis.json");
  const server = (JSON.parse(readFileSync(file, "utf8")) as { process: ProcessIdentity }).process;
  process.kill(server.pid, "SIGKILL");
  await expect.poll(() => isRunning(server)).toBe(false);
}

test("kill -9 of service and Redis in the middle of a set, again and again", async () => {
  const directory = newDirectory();
  let service = await start(directory);
  const id = await post(service);
  for (let kill = 0; kill < 2; kill++) {
    await more(service, id);
    await Promise.all([service.stop("SIGKILL"), killRedis(directory)]);
    service = await start(directory);
  }
  expectTheSame(await ended(service, id));
});

test("the embedded Redis is killed in the middle of a set, and the service goes on", async () => {
  const directory = newDirectory();
  const service = await start(directory);
  const id = await post(service);
  for (let kill = 0; kill < 2; kill++) {
    await more(service, id);
    await killRedis(directory);
  }
  expectTheSame(await ended(service, id));
});

test("api and workers apart are killed in the middle of a set", async () => {
  const env = { REDIS_URL: redis.url };
  const directory = newDirectory();
  let api = await start(directory, { ...env, RAPPEL_PORT: "0" }, "api");
  const { address } = await api.ready;
  const startWorker = () => start(newDirectory(), { ...env, RAPPEL_API_URL: address! }, "worker");
  const workers = [await startWorker(), await startWorker()];
  const id = await post(api);
  await more(api, id);
  await workers[0].stop("SIGKILL");
  await more(api, id);
  await api.stop("SIGKILL");
  api = await start(directory, { ...env, RAPPEL_PORT: new URL(address!).port }, "api");
  expectTheSame(await ended(api, id));
});

test("the disk is full in the middle of a set: its shards wait for room", async (context) => {
  const disk = smallDisk(context, "2m");
  const service = await start(join(disk.directory, "data"), { REDIS_URL: redis.url });
  const id = await post(service);
  await more(service, id);
  disk.fill();
  const givenBack = ({ msg, reason }: Record<string, unknown>) =>
    msg === "given back" && reason === "The disk that results are written to is full.";
  await expect.poll(() => service.log.some(givenBack), { timeout: 20_000 }).toBe(true);
  expect((await until(service, id, () => true)).error).toBeNull();
  disk.resize("64m");
  expectTheSame(await ended(service, id));
  await service.stop();
});

test("the webhook of a set is told of its end once, although the service is killed", async (context) => {
  const receiver = await startReceiver();
  context.onTestFinished(() => receiver.stop());
  const directory = newDirectory();
  const env = {
    RAPPEL_API_KEYS: "ann:s3cret",
    RAPPEL_WEBHOOK_SECRETS: `ann:whsec_${Buffer.alloc(32, 1).toString("base64")}`,
    RAPPEL_WEBHOOK_ALLOW: "127.0.0.1",
  };
  const headers = { authorization: "Bearer s3cret" };
  let service = await start(directory, env);
  const events = ["started", "succeeded", "failed"];
  const id = await post(service, { webhook: { url: `http://127.0.0.1:${receiver.port}/`, events } }, headers);
  await until(service, id, ({ models }) => models!.ended > 0, headers);
  await Promise.all([service.stop("SIGKILL"), killRedis(directory)]);
  service = await start(directory, env);
  expectTheSame(await ended(service, id, headers));
  const told = () => receiver.received.map(({ body }) => (JSON.parse(body) as { type: string }).type).toSorted();
  await expect.poll(told, { timeout: 20_000 }).toEqual(["job.started", "job.succeeded"]);
});
