import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

/**
 * Two apis on one volume and two workers on hosts of their own are restarted one after the other,
 * as an upgrade does it, while clients post and poll. What a client must do is what it must do
 * anyway: try again, elsewhere, with the same idempotency key.
 */

let redis: TestRedis;
const directories = Array.from({ length: 3 }, makeDataDirectory);
/** By name; the address of an api stays the same. */
const services = new Map<string, ServiceProcess>();
const addresses: string[] = [];
let dataset: string;

beforeAll(async () => {
  redis = await startTestRedis();
  for (const name of ["api-0", "api-1"]) await start(name);
  const body = readFileSync(new URL("../../examples/digits.csv", import.meta.url));
  const headers = { "content-type": "text/csv" };
  dataset = (await call("/v1/datasets", { method: "POST", headers, body })).id;
  for (const name of ["worker-0", "worker-1"]) await start(name);
});
afterAll(async () => {
  await Promise.all([...services.values()].map((service) => service.stop()));
  await redis.stop();
  for (const directory of directories) rmSync(directory, { recursive: true });
});

async function start(name: string): Promise<void> {
  const [role, number] = [name.split("-")[0], Number(name.split("-")[1])];
  const port = role === "api" && addresses[number] ? new URL(addresses[number]).port : "0";
  const service = await startService({
    args: ["--role", role],
    env: {
      REDIS_URL: redis.url,
      RAPPEL_DATA_DIR: role === "api" ? directories[0] : directories[1 + number],
      RAPPEL_API_URL: addresses[number],
      RAPPEL_PORT: port,
      RAPPEL_JOBS: "2",
    },
  });
  services.set(name, service);
  const { address } = await service.ready;
  if (role === "api") addresses[number] = address!;
}

async function restart(name: string): Promise<void> {
  expect(await services.get(name)!.stop()).toEqual({ code: 0, stderr: "" });
  await start(name);
}

interface Body {
  id: string;
  status: string;
  run: number;
  result: { weights_sha256: string } | null;
  data: { id: string; type: string }[];
}

/** With the long one, as many as a page of a list holds. */
const MAX_JOBS = 99;

let turn = 0;

/**
 * Asks the apis in turn until one answers. Any other answer than the one hoped for, or that it is
 * shutting down, is a failure.
 */
async function call(path: string, init: RequestInit = {}): Promise<Body> {
  for (;;) {
    const answer = await fetch(addresses[turn++ % addresses.length] + path, init).catch(() => null);
    const body = answer && ((await answer.json().catch(() => null)) as Body | null);
    if (answer && body && answer.status !== 503) {
      expect([path, answer.status, body]).toEqual([path, answer.ok ? answer.status : "ok", body]);
      return body;
    }
    await sleep(50);
  }
}

async function post(key: string, epochs: number): Promise<string> {
  const body = JSON.stringify({
    data: { dataset, target: "target" },
    model: { layers: [{ type: "linear", out_features: 32 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs, batch_size: 32 },
  });
  const headers = { "content-type": "application/json", "idempotency-key": key };
  return (await call("/v1/jobs", { method: "POST", headers, body })).id;
}

async function untilEnded(id: string): Promise<Body> {
  for (;;) {
    const job = await call(`/v1/jobs/${id}`);
    if (!["queued", "running"].includes(job.status)) return job;
    await sleep(100);
  }
}

test("a rolling restart under load loses nothing", { timeout: 120_000 }, async () => {
  const long = await post("long", 300);
  const short: string[] = [];
  const rolled = new AbortController();
  const posting = (async () => {
    for (let n = 0; n < MAX_JOBS && !rolled.signal.aborted; n++) {
      short.push(await post(`short-${n}`, 3));
      await sleep(300);
    }
  })();
  const polling = (async () => {
    while (!rolled.signal.aborted) {
      await call(`/v1/jobs/${long}/progress`);
      await sleep(20);
    }
  })();
  const running = async () => (await call(`/v1/jobs/${long}`)).status === "running";
  await expect.poll(running, { timeout: 20_000 }).toBe(true);
  for (const name of ["worker-0", "api-0", "worker-1", "api-1"]) await restart(name);
  rolled.abort();
  await Promise.all([posting, polling]);

  const ended = await Promise.all(short.map(untilEnded));
  expect(new Set(short).size).toBe(short.length);
  expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(["succeeded"]));
  expect(new Set(ended.map(({ result }) => result!.weights_sha256)).size).toBe(1);
  const { status, run } = await untilEnded(long);
  expect(status).toBe("succeeded");
  expect(run).toBeGreaterThan(1);
  // Whatever was interrupted was given back, and not found by its silence.
  const events = (await Promise.all([long, ...short].map((id) => call(`/v1/jobs/${id}/events?limit=100`)))).flatMap(
    ({ data }) => data.map(({ type }) => type),
  );
  expect(events).toContain("requeued");
  expect(events).not.toContain("lease_lost");
  const { data } = await call("/v1/jobs?limit=100");
  expect(data.map(({ id }) => id).sort()).toEqual([long, ...short].sort());
});
