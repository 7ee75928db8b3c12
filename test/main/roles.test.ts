import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

/** The service in parts: an api and workers, which share a Redis and a directory of datasets. */

let redis: TestRedis;
let dataDirectory: string;
let api: ServiceProcess;
let dataset: string;
const workers: ServiceProcess[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  dataDirectory = makeDataDirectory();
  api = await start("api");
  const { address } = await api.ready;
  const body = readFileSync(new URL("../../examples/digits.csv", import.meta.url));
  const headers = { "content-type": "text/csv" };
  dataset = (
    (await (await fetch(`${address}/v1/datasets`, { method: "POST", headers, body })).json()) as { id: string }
  ).id;
});
afterAll(async () => {
  await Promise.all([api, ...workers].map((service) => service.stop()));
  await redis.stop();
  rmSync(dataDirectory, { recursive: true });
});

async function start(role: string, env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  const settings = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: dataDirectory, ...env };
  return await startService({ env: settings, args: ["--role", role] });
}

async function startWorker(env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  const worker = await start("worker", { RAPPEL_LEASE_MS: "1000", ...env });
  workers.push(worker);
  return worker;
}

/** Epochs of a job that is no small one. */
const LARGE = 500;

async function post(epochs: number): Promise<string> {
  const { address } = await api.ready;
  const response = await fetch(`${address}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      data: { dataset, target: "target" },
      model: { layers: [{ type: "linear", out_features: 64 }, { type: "relu" }, { type: "linear" }] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam" },
      training: { epochs, batch_size: 32, log_every_steps: 100 },
    }),
  });
  const body = (await response.json()) as { id: string };
  expect([response.status, body]).toEqual([201, body]);
  return `${address}/v1/jobs/${body.id}`;
}

interface Seen {
  status: string;
  run: number;
  result: { weights_sha256: string } | null;
}

async function until(job: string, wanted: (seen: Seen) => boolean): Promise<Seen> {
  for (;;) {
    const seen = (await (await fetch(job)).json()) as Seen;
    if (wanted(seen)) return seen;
    await sleep(20);
  }
}

test("a job waits while there is no worker, and is run by one that comes", async () => {
  const job = await post(1);
  expect((await until(job, () => true)).status).toBe("queued");
  const { role, address, redis: name } = await (await startWorker()).ready;
  expect({ role, address, name }).toEqual({ role: "worker", address: null, name: redis.url });
  expect((await until(job, ({ status }) => status !== "queued" && status !== "running")).status).toBe("succeeded");
});

test("a worker serves its health and metrics where it is told to, and the api knows of it while it lives", async () => {
  for (const worker of workers.splice(0)) await worker.stop();
  const worker = await startWorker({ RAPPEL_WORKER_PORT: "0", RAPPEL_THREADS: "2", RAPPEL_JOBS: "3" });
  const { address, pid } = await worker.ready;
  const answers = await Promise.all(["/healthz", "/readyz", "/v1/jobs"].map((path) => fetch(address + path)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404]);
  expect(await answers[0].json()).toMatchObject({ status: "ok", checks: { crews: "ok" } });
  expect(await answers[1].json()).toMatchObject({ status: "ok", checks: { redis: "ok" } });

  const job = await post(2000);
  await until(job, ({ status }) => status === "running");
  const workersSeen = async () => {
    const status = await fetch(`${(await api.ready).address}/v1/status`);
    return ((await status.json()) as { workers: unknown[] }).workers;
  };
  await expect.poll(workersSeen, { timeout: 5000 }).toMatchObject([
    {
      pid,
      draining: false,
      threads: { busy: 1, total: 2 },
      jobs: { running: 1, max: 3, ids: [job.split("/").at(-1)] },
    },
  ]);
  await fetch(`${job}/cancel`, { method: "POST" });
  await until(job, ({ status }) => status === "cancelled");
  // A small job, which runs in a lane.
  const small = await post(1);
  await until(small, ({ status }) => status === "succeeded");
  // The worker counts a run just after its job has ended for everybody else.
  const read = async () => await (await fetch(`${address}/metrics`)).text();
  await expect.poll(read, { timeout: 5000 }).toContain('rappel_run_seconds_count{end="ended"} 2');
  const metrics = await read();
  expect(Number(/^rappel_steps_total (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(0);
  expect(metrics).toMatch(/^rappel_queue_wait_seconds_count 2$/m);
  expect(metrics).toContain("nodejs_eventloop_lag_p99_seconds");
  await worker.stop();
  expect(await workersSeen()).toEqual([]);
});

test("a worker whose run stands still is not alive, and says which run", async () => {
  // It never gets the dataset. On SIGUSR2 its clock is an hour ahead.
  const silent = createServer(() => undefined).listen(0);
  await once(silent, "listening");
  const asked = once(silent, "request");
  const ahead =
    'process.on("SIGUSR2", () => { const now = performance.now.bind(performance); performance.now = () => now() + 36e5; })';
  const elsewhere = makeDataDirectory();
  const worker = await startWorker({
    RAPPEL_DATA_DIR: elsewhere,
    RAPPEL_API_URL: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    RAPPEL_WORKER_PORT: "0",
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(ahead)}`,
  });
  const { address } = await worker.ready;
  const job = await post(LARGE);
  // The clock of a preparation starts after the job's status has changed. It has started once the
  // dataset is asked for.
  await asked;
  expect((await fetch(`${address}/healthz`)).status).toBe(200);
  worker.process.kill("SIGUSR2");
  const health = async () => {
    const answer = await fetch(`${address}/healthz`);
    return { code: answer.status, ...((await answer.json()) as object) };
  };
  await expect.poll(health, { timeout: 10_000 }).toMatchObject({
    code: 503,
    status: "unavailable",
    checks: { crews: expect.stringMatching(/^the preparation of job_\w+ has stood still for 360\d seconds$/) },
  });
  await fetch(`${job}/cancel`, { method: "POST" });
  await until(job, ({ status }) => status === "cancelled");
  await worker.stop();
  silent.closeAllConnections();
  silent.close();
  rmSync(elsewhere, { recursive: true });
});

test("the health check of a container finds the service in every role, and reports what is wrong", async () => {
  const check = (port: string, workerPort: string) => {
    const env = { ...process.env, RAPPEL_PORT: port, RAPPEL_WORKER_PORT: workerPort };
    const child = spawn(process.execPath, ["src/health-check.ts"], { env, stdio: ["ignore", "ignore", "pipe"] });
    return Promise.all([once(child, "exit"), text(child.stderr)]).then(([[code], said]) => [code, said]);
  };
  const worker = await startWorker({ RAPPEL_WORKER_PORT: "0" });
  const [apiPort, workerPort] = [api, worker].map(async ({ ready }) => new URL((await ready).address!).port);
  expect(await check(await apiPort, "1")).toEqual([0, ""]);
  expect(await check("1", await workerPort)).toEqual([0, ""]);
  const unhealthy = createServer((_, response) => response.writeHead(503).end("the crew stands still")).listen(0);
  await once(unhealthy, "listening");
  const { port } = unhealthy.address() as AddressInfo;
  expect(await check("1", String(port))).toEqual([1, expect.stringContaining("the crew stands still")]);
  unhealthy.close();
  await worker.stop();
});

test("a job whose worker is killed, and whose next worker is told to end, ends with the same weights", async () => {
  await startWorker();
  const undisturbed = await until(await post(LARGE), ({ result }) => result !== null);
  for (const worker of workers.splice(0)) await worker.stop();

  const job = await post(LARGE);
  const first = await startWorker();
  await until(job, ({ status }) => status === "running");
  await first.stop("SIGKILL");
  const second = await startWorker();
  await until(job, ({ run }) => run === 2);
  expect((await second.stop()).code).toBe(0);
  await startWorker();
  const disturbed = await until(job, ({ result }) => result !== null);
  expect(disturbed.run).toBe(3);
  expect(disturbed.result!.weights_sha256).toBe(undisturbed.result!.weights_sha256);
});

test("the limit of a checkpoint follows from the Redis in use, not from the one that would be started", async () => {
  const client = redis.client();
  const [, before] = (await client.config("GET", "maxmemory")) as string[];
  await client.config("SET", "maxmemory", 64 * 2 ** 20);
  const other = await start("api", { RAPPEL_MAX_STATE_BYTES: "1GiB", RAPPEL_REDIS_MAX_BYTES: "1GiB" });
  workers.push(other);
  const { address } = await other.ready;
  await client.config("SET", "maxmemory", before);
  const wide = { type: "linear", out_features: 1500 };
  const response = await fetch(`${address}/v1/jobs?validate_only=true`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      data: { dataset, target: "target" },
      model: { layers: [wide, { type: "relu" }, wide, { type: "relu" }, { type: "linear" }] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam" },
      training: { epochs: 1, batch_size: 64 },
    }),
  });
  const { errors } = (await response.json()) as { errors: { pointer: string; message: string }[] };
  expect([response.status, errors.length]).toEqual([422, 1]);
  expect(errors[0]).toMatchObject({ pointer: "/model", message: expect.stringContaining("it may take 22.4 MiB") });
});
