import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import type { OwnerLimits, Store } from "../../src/store/store.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { acquire, checkpoint, connected, newJob, openStore, OWNER, postJob } from "./support.ts";

let server: TestRedis;
let redis: Redis;
let store: Store;

beforeAll(async () => {
  server = await startTestRedis();
  redis = await connected(server);
  store = await openStore(server);
});
afterAll(() => server.stop());
beforeEach(() => redis.flushall());

function limit(limits: Partial<OwnerLimits>): Promise<void> {
  return store.limitOwners({ waiting: null, running: null, dataset_bytes: null, checkpoint_bytes: null, ...limits });
}

function dataset(id: string, bytes: number) {
  const sha256 = id.repeat(64).slice(0, 64);
  return { id: `ds_${id}`, name: null, format: "csv" as const, sha256, bytes, rows: 1, columns: [] };
}

function usage(): Promise<Record<string, string>> {
  return redis.hgetall(`{rappel}:owner:${OWNER}:usage`);
}

test("limits are set, changed and taken back", async () => {
  await limit({ waiting: 2, dataset_bytes: 10 });
  expect(await redis.hgetall(keys.limits)).toEqual({ waiting: "2", dataset_bytes: "10" });
  await limit({ running: 1 });
  expect(await redis.hgetall(keys.limits)).toEqual({ running: "1" });
  await limit({});
  expect(await redis.exists(keys.limits)).toBe(0);
});

test("so many jobs may wait, for each owner; running and ended ones do not count", async () => {
  await limit({ waiting: 2 });
  const [first, second] = [await postJob(store), await postJob(store)];
  await expect(postJob(store)).rejects.toMatchObject({ what: "waiting", limit: 2, used: 2, more: 1 });
  await postJob(store, { owner: "bob" });
  await acquire(store, first);
  const third = await postJob(store);
  await redis.zrem(`{rappel}:owner:${OWNER}:jobs:queued`, third);
  await redis.zadd(`{rappel}:owner:${OWNER}:jobs:paused`, 0, third);
  await expect(postJob(store)).rejects.toThrow("waiting");
  await store.jobs.cancel(OWNER, second);
  await postJob(store);
});

test("what is refused leaves nothing behind, and its idempotency key is free", async () => {
  await limit({ waiting: 1 });
  await postJob(store);
  const before = (await redis.keys("*")).sort();
  const job = newJob({ idempotency: { key: "k", bodySha256: "b" } });
  await expect(store.jobs.create(job)).rejects.toThrow("waiting");
  expect((await redis.keys("*")).sort()).toEqual(before);
  await limit({});
  expect((await store.jobs.create(job)).outcome).toBe("created");
  await limit({ waiting: 1 });
  expect((await store.jobs.create({ ...job, id: newJob().id })).outcome).toBe("replayed");
});

test("a job counts for what it may need until it has ended, then for what it has, then for nothing", async () => {
  await limit({ checkpoint_bytes: 9000 });
  const id = await postJob(store, { stateBytes: 1000 });
  expect(await usage()).toEqual({ checkpoint_bytes: "4000" });
  await postJob(store, { stateBytes: 1250 });
  await expect(postJob(store, { stateBytes: 1 })).rejects.toMatchObject({
    what: "checkpoint_bytes",
    used: 9000,
    more: 4,
  });

  const lease = await acquire(store, id);
  await checkpoint(lease, 1, { bytes: Buffer.alloc(900) });
  await checkpoint(lease, 2, { bytes: Buffer.alloc(950) });
  expect(await usage()).toEqual({ checkpoint_bytes: "9000" });
  const blob = (await lease.upload(Buffer.alloc(300)))!;
  const models = { final: { ...blob, sha256: "3".repeat(64) } };
  await lease.finish({ status: "succeeded", progress: null, models, events: [] }, []);
  expect(await usage()).toEqual({ checkpoint_bytes: String(5000 + 950 + 300) });
  await store.upkeep.purge(-1000);
  expect(await usage()).toEqual({ checkpoint_bytes: "5000" });
});

test("a cancelled job counts for its last checkpoint only", async () => {
  const id = await postJob(store, { stateBytes: 1000 });
  await store.jobs.cancel(OWNER, id);
  expect(await usage()).toEqual({});
});

test("datasets count once for each owner, until they are deleted", async () => {
  await limit({ dataset_bytes: 100 });
  await store.datasets.put(OWNER, dataset("a", 60));
  await store.datasets.put(OWNER, { ...dataset("a", 60), id: "ds_again" });
  await store.datasets.put("bob", dataset("a", 60));
  await expect(store.datasets.put(OWNER, dataset("b", 41))).rejects.toMatchObject({ what: "dataset_bytes", more: 41 });
  await store.datasets.put(OWNER, dataset("c", 40));
  expect(await usage()).toEqual({ dataset_bytes: "100" });
  expect(await store.datasets.remove(OWNER, "ds_a")).toBe("removed");
  expect(await usage()).toEqual({ dataset_bytes: "40" });
  expect(await store.datasets.get(OWNER, "ds_b")).toBeNull();
});
