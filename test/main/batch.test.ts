// A batch of jobs is completed after the api died in the middle of it.
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

const JOBS = 40;
let redis: TestRedis;
let directory: string;

beforeAll(async () => {
  redis = await startTestRedis();
  directory = makeDataDirectory();
});
afterAll(async () => {
  await redis.stop();
  rmSync(directory, { recursive: true });
});

function startApi(env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  return startService({
    env: { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, NODE_ENV: "test", ...env },
    args: ["--role", "api"],
  });
}

function spec(seed: number) {
  return {
    name: `job ${seed}`,
    data: { synthetic: { type: "two_moons", rows: 20, seed: 1 }, target: "target" },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "sgd", lr: 0.1 },
    training: { epochs: 1, batch_size: 10, seed },
  };
}

async function post(api: ServiceProcess): Promise<{ status: number; job: { id: string; name: string } }[]> {
  const { address } = await api.ready;
  const response = await fetch(`${address}/v1/jobs/batch`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": "batch" },
    body: JSON.stringify({ jobs: Array.from({ length: JOBS }, (_, i) => spec(i)) }),
  });
  return ((await response.json()) as { results: { status: number; job: { id: string; name: string } }[] }).results;
}

test("the api dies in the middle of a batch: no job of it is there twice, and none is missing", async () => {
  const connection = redis.client();
  const dying = await startApi({ RAPPEL_CRASH_AT: "after-record:7" });
  await expect(post(dying)).rejects.toThrow();
  expect((await dying.ended).code).toBe(null);
  const before = await connection.zrange("{rappel}:owner:default:jobs", "0", "-1");
  expect(before.length).toBeGreaterThan(6);
  expect(before.length).toBeLessThan(JOBS);

  const api = await startApi();
  try {
    const results = await post(api);
    expect(results.map(({ job }) => job.name)).toEqual(Array.from({ length: JOBS }, (_, i) => `job ${i}`));
    const ids = results.map(({ job }) => job.id);
    expect(await connection.zrange("{rappel}:owner:default:jobs", "0", "-1")).toEqual(ids);
    for (const id of before) expect(ids).toContain(id);
    // All wait for their owner's turn, and a worker that starts is woken.
    expect(await connection.zcard("{rappel}:owner:default:waiting")).toBe(JOBS);
    await expect.poll(() => connection.llen("{rappel}:deliveries:wait"), { timeout: 30_000 }).toBeGreaterThan(0);
  } finally {
    await api.stop();
  }
});
