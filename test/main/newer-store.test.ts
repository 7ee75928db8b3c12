/** A later version upgrades the store while processes of this one run. */
import { rmSync } from "node:fs";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FORMAT } from "../../src/store/format.ts";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

let redis: TestRedis;
let client: Redis;
const directory = makeDataDirectory();
const services: ServiceProcess[] = [];
beforeAll(async () => {
  redis = await startTestRedis();
  client = redis.client();
});
afterAll(async () => {
  for (const service of services) await service.stop();
  await redis.stop();
  rmSync(directory, { recursive: true });
});

async function start(role: "api" | "worker"): Promise<ServiceProcess> {
  const env = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, RAPPEL_WORKER_PORT: "0" };
  const service = await startService({ args: ["--role", role], env });
  services.push(service);
  return service;
}

const store = async (address: string | null) => {
  const response = await fetch(`${address}/readyz`);
  const { checks } = (await response.json()) as { checks: { store: string } };
  return [response.status, checks.store];
};

test(
  "running services of an older version report it and take no more jobs, and none starts",
  { timeout: 60_000 },
  async () => {
    const [api, worker] = [await start("api"), await start("worker")];
    const { address } = await api.ready;
    const ports = [address, (await worker.ready).address];
    expect(await Promise.all(ports.map(store))).toEqual([
      [200, "ok"],
      [200, "ok"],
    ]);
    await client.set("{rappel}:format", FORMAT + 1);
    const refusal = expect.stringMatching(/^The store in Redis has format \d+, and this version of Rappel knows/);
    expect(await Promise.all(ports.map(store))).toEqual([
      [503, refusal],
      [503, refusal],
    ]);
    const spec = {
      data: { synthetic: { type: "two_moons", rows: 60 }, target: "target" },
      model: { layers: [{ type: "linear" }] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "sgd", lr: 0.1 },
      training: { epochs: 1, batch_size: 16 },
    };
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${address}/v1/jobs`, { method: "POST", headers, body: JSON.stringify(spec) });
    const { id } = (await response.json()) as { id: string };
    const status = async () => ((await (await fetch(`${address}/v1/jobs/${id}`)).json()) as { status: string }).status;
    const retired = () =>
      worker.log.filter(({ msg }) => String(msg).startsWith("this worker takes no more jobs")).length;
    await expect.poll(retired, { timeout: 20_000 }).toBe(1);
    expect(await status()).toBe("queued");

    const { code, stderr } = await (await start("worker")).ended;
    expect({ code, stderr }).toEqual({ code: 1, stderr: refusal });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);

    // Back to what this version knows: the next worker does it.
    await client.set("{rappel}:format", FORMAT);
    await (
      await start("worker")
    ).ready;
    await expect.poll(status, { timeout: 20_000 }).toBe("succeeded");
  },
);
