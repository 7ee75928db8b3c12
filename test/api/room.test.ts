// A store that is full: what is refused, what becomes of what was accepted, and how it shows.
import type { Redis } from "ioredis";
import { decodeTime } from "ulid";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess } from "../worker/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

const MAX_BYTES = 16 * 2 ** 20;
const FILLABLE = Math.floor(0.7 * MAX_BYTES);

let service: Service;
let redis: Redis;
beforeAll(async () => {
  service = await startService();
  redis = service.redis.client();
});
afterAll(() => service.stop());
beforeEach(async () => {
  await redis.flushall();
  await redis.config("SET", "maxmemory", MAX_BYTES);
});

const post = (spec: object) => service.call("POST", "/v1/jobs", { body: spec });
const validate = (spec: object) => service.call("POST", "/v1/jobs?validate_only=true", { body: spec });
const usage = () => redis.hgetall("{rappel}:owner:default:usage");

/** Of all that is free, `left` bytes are promised to nobody. */
async function fill(left: number): Promise<void> {
  const { used, reserved, limit } = await service.store.overview.room();
  await redis.hincrby("{rappel}:room", "promised", limit! - used - reserved - left);
}

test("a full store refuses with a sentence, ends what it accepted, shows how full it is, and takes jobs again when there is room", async () => {
  const { id: dataset } = await service.upload(csv);
  const accepted: string[] = [];
  // Rows enough that a score of them fills it.
  const spec = specFor(dataset, { training: { epochs: 500, batch_size: 16 }, checkpoint: { keep_best: true } });
  let answer = await post(spec);
  for (; answer.status === 201; answer = await post(spec)) accepted.push(answer.body.id);
  expect([answer.status, answer.body.code, answer.headers["retry-after"]]).toEqual([503, "unavailable", "30"]);
  expect(answer.body.detail).toMatch(/^The store is full: this may need \d+ bytes in the store, and \d+ are free\./);
  expect(accepted.length).toBeGreaterThan(5);

  const ready = await service.call("GET", "/readyz");
  expect([ready.status, ready.body.status]).toEqual([200, "degraded"]);
  expect(ready.body.checks).toMatchObject({ redis: "ok", room: expect.stringMatching(/^full: /) });
  const { store } = (await service.call("GET", "/v1/status")).body;
  expect(store).toMatchObject({ full: true, limit_bytes: FILLABLE });
  expect(store.used_bytes + store.reserved_bytes).toBeGreaterThan(0.9 * FILLABLE);
  const metrics = (await service.call("GET", "/metrics")).text;
  expect(metrics).toContain(`rappel_store_limit_bytes ${FILLABLE}`);
  expect(metrics).toMatch(/^rappel_store_reserved_bytes \d+$/m);

  const worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  const get = async (id: string) => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  for (const id of accepted) {
    await expect.poll(async () => ended(await get(id)), { timeout: 60_000 }).toBe(true);
    expect(await get(id)).toMatchObject({ status: "succeeded" });
  }
  worker.kill("SIGKILL");
  await worker.exited;
  expect((await service.call("GET", "/v1/status")).body.store.reserved_bytes).toBe(0);
  for (const id of accepted) await service.call("DELETE", `/v1/jobs/${id}`);
  expect((await post(spec)).status).toBe(201);
  expect((await service.call("GET", "/readyz")).body.checks.room).toBe("ok");
});

test("a refused job leaves nothing behind: no dataset of its rows, no file, no reserved room", async () => {
  const { id: dataset } = await service.upload(csv);
  const rows = Array.from({ length: 40 }, (_, i) => [i / 2, i % 2]);
  const inline = { inline: { columns: ["x", "y"], rows }, target: "y" };
  // It needs far more than what Redis frees of the connections of the worker that was killed.
  const spec = specFor(dataset, { data: inline, training: { epochs: 10_000, batch_size: 16 } });
  const before = [service.onDisk(), (await redis.keys("*")).sort(), await usage()];
  await fill(50_000);
  const refused = await post(spec);
  expect([refused.status, refused.body.code]).toEqual([503, "unavailable"]);
  const validated = await validate(spec);
  const full = expect.stringMatching(/^The store is full: this may need \d+ bytes/);
  expect([validated.status, validated.body.detail]).toEqual([503, full]);
  expect([
    service.onDisk(),
    (await redis.keys("*")).filter((key) => key !== "{rappel}:room").sort(),
    await usage(),
  ]).toEqual(before);
  // Nor does one whose rows are refused after it was promised its room.
  await redis.hdel("{rappel}:room", "promised", "refused");
  await service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: 1,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  const limited = await post(spec);
  expect([limited.status, limited.body.code]).toEqual([413, "too_large"]);
  await service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  expect([service.onDisk(), (await redis.keys("*")).sort(), await usage()]).toEqual(before);
  // A dataset whose record does not fit neither.
  await fill(1000);
  const wide = Array.from({ length: 300 }, (_, i) => `column number ${i}`).join(",");
  const headers = { "content-type": "text/csv" };
  const upload = await service.call("POST", "/v1/datasets", { body: `${wide}\n${wide}\n`, headers });
  expect([upload.status, upload.body.code]).toEqual([503, "unavailable"]);
  expect(service.onDisk()).toEqual(before[0]);
});

test("a job that would not fit into an empty store is too large", async () => {
  const { id: dataset } = await service.upload(csv);
  const large = specFor(dataset, {
    model: { layers: [{ type: "linear", out_features: 50_000 }, { type: "linear" }] },
    checkpoint: { every_steps: 1, keep_last: 10 },
  });
  const refused = await post(large);
  expect([refused.status, refused.body.code]).toEqual([413, "too_large"]);
  expect(refused.body.detail).toContain(`which has ${FILLABLE} in all`);
  const validated = await validate(large);
  expect([validated.status, validated.body.detail]).toEqual([413, refused.body.detail]);
  // That does not make the store full.
  expect((await service.call("GET", "/v1/status")).body.store.full).toBe(false);
  expect((await service.call("GET", "/readyz")).body).toMatchObject({ status: "ok", checks: { room: "ok" } });
});

test("a spec does not repeat a wide dataset; its model's description is counted", async () => {
  const names = Array.from({ length: 2000 }, (_, i) => `${"n".repeat(100)}${i}`);
  const line = (of: (i: number) => unknown) => names.map((_, i) => of(i)).join(",");
  const table = [names.join(","), ...[1, 2, 3, 4].map((row) => line((i) => (i * row) % 5))].join("\n");
  const { id: dataset } = await service.upload(table);
  const { body: job } = await post({
    ...specFor(dataset, { model: { layers: [{ type: "linear" }] }, training: { epochs: 1, batch_size: 1 } }),
    data: { dataset, target: names[0] },
    loss: { type: "mse" },
  });
  expect(job.spec.data.features).toBeNull();
  const record = `{rappel}:owner:default:job:${job.id}`;
  expect(Number(await redis.memory("USAGE", record, "SAMPLES", 0))).toBeLessThan(10_000);
  const reserved = Number(await redis.hget(record, "reserved"));
  const worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  const get = async () => (await service.call("GET", `/v1/jobs/${job.id}`)).body as Job;
  await expect.poll(async () => ended(await get()), { timeout: 30_000 }).toBe(true);
  worker.kill("SIGKILL");
  await worker.exited;
  expect((await get()).status).toBe("succeeded");
  const { inputs } = (await service.call("GET", `/v1/jobs/${job.id}/model/description`)).body;
  expect(inputs).toHaveLength(1999);
  const has = Number(await redis.memory("USAGE", record, "SAMPLES", 0));
  expect(has).toBeGreaterThan(200_000);
  expect(reserved).toBeGreaterThan(has);
});

test("a store without a limit is never full, and no limit is reported", async () => {
  await redis.config("SET", "maxmemory", 0);
  const { store } = (await service.call("GET", "/v1/status")).body;
  expect(store).toMatchObject({ limit_bytes: null, full: false });
  expect((await service.call("GET", "/metrics")).text).not.toMatch(/^rappel_store_limit_bytes /m);
});

test("ids carry the time of Redis, not of the host", async () => {
  const { id: dataset } = await service.upload(csv);
  const [seconds] = await redis.time();
  const now = Date.now;
  try {
    // A host whose clock is an hour behind.
    Date.now = () => now() - 3_600_000;
    const { id } = await service.create(specFor(dataset));
    expect(decodeTime(id.slice(4).toUpperCase())).toBeGreaterThanOrEqual(seconds * 1000);
  } finally {
    Date.now = now;
  }
});

test("a state may take half of the memory for checkpoints, because one is written while the last still exists", async () => {
  const validate = async (redisMaxBytes?: number) => {
    const other = await startService(redisMaxBytes === undefined ? {} : { redisMaxBytes });
    try {
      const body = specFor((await other.upload(csv)).id);
      return await other.call("POST", "/v1/jobs?validate_only=true", { body });
    } finally {
      await other.stop();
    }
  };
  const { state_bytes: bytes } = (await validate()).body;
  expect((await validate(Math.ceil((2 * bytes) / 0.7) + 2)).status).toBe(200);
  const { status, body } = await validate(Math.floor((2 * bytes) / 0.7) - 4);
  expect([status, body.errors.length]).toEqual([422, 1]);
  expect(body.errors[0]).toMatchObject({
    pointer: "/model",
    message: expect.stringContaining("RAPPEL_REDIS_MAX_BYTES"),
  });
});
