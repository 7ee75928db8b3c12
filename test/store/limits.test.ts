import { createHash } from "node:crypto";
import { ulid } from "ulid";
import { expect, test } from "vitest";
import { FIRST_READING } from "../../src/data/reading.ts";
import { keys } from "../../src/store/keys.ts";
import type { OwnerLimits } from "../../src/store/store.ts";
import { acquire, checkpoint, newJob, OWNER, postJob, room, row } from "./support.ts";
import { redis, setUpStore, store, usage } from "./setup.ts";

setUpStore();

function limit(limits: Partial<OwnerLimits>): Promise<void> {
  return store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
    ...limits,
  });
}

function dataset(id: string, bytes: number) {
  const sha256 = id.repeat(64).slice(0, 64);
  return {
    id: `ds_${id}`,
    name: null,
    format: "csv" as const,
    sha256,
    bytes,
    reading: FIRST_READING,
    columns_sha256: sha256,
    rows: 1,
    columns: [],
  };
}

test("limits are set, changed and removed", async () => {
  await limit({ waiting: 2, dataset_bytes: 10 });
  expect(await redis.hgetall(keys.limits)).toEqual({ waiting: "2", dataset_bytes: "10" });
  await limit({ running: 1 });
  expect(await redis.hgetall(keys.limits)).toEqual({ running: "1" });
  await limit({});
  expect(await redis.exists(keys.limits)).toBe(0);
});

test("each owner may have so many waiting jobs; running and ended ones do not count", async () => {
  await limit({ waiting: 2 });
  const [first, second] = [await postJob(store), await postJob(store)];
  const refused = { what: "waiting", limit: 2, used: 2, more: 1 };
  await expect(postJob(store)).rejects.toMatchObject(refused);
  // Before anything is kept for it, too.
  await expect(store.jobs.reserve(newJob())).rejects.toMatchObject(refused);
  await postJob(store, { owner: "bob" });
  await acquire(store, first);
  const third = await postJob(store);
  await redis.zrem(`{rappel}:owner:${OWNER}:jobs:queued`, third);
  await redis.zadd(`{rappel}:owner:${OWNER}:jobs:paused`, 0, third);
  await expect(postJob(store)).rejects.toThrow("waiting");
  await store.jobs.cancel(OWNER, second);
  await postJob(store);
});

test("a refused job leaves nothing behind, and its idempotency key stays free", async () => {
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

test("a job counts for what it may need until it ends, then for what it has, and for nothing once deleted", async () => {
  await limit({ checkpoint_bytes: 90_000 });
  const id = await postJob(store, { room: room(40_000) });
  expect(await usage()).toEqual({ checkpoint_bytes: "40000" });
  const other = await postJob(store, { room: room(50_000) });
  await expect(postJob(store, { room: room(4) })).rejects.toMatchObject({
    what: "checkpoint_bytes",
    used: 90_000,
    more: 4,
  });

  const lease = await acquire(store, id);
  await checkpoint(lease, 1, { bytes: Buffer.alloc(2000), rows: [row(1)] });
  await checkpoint(lease, 2, { bytes: Buffer.alloc(4000), rows: [row(2)] });
  expect(await usage()).toEqual({ checkpoint_bytes: "90000" });
  const blob = (await lease.upload(Buffer.alloc(1000), "final"))!;
  const models = { final: { ...blob, sha256: "3".repeat(64) } };
  await lease.finish({ status: "succeeded", progress: null, models, events: [] }, []);
  const has = await usedBy(id);
  const counted = Number((await usage()).checkpoint_bytes) - 50_000;
  // The count is higher than the truth, but not by much. Lists and the queue take a part.
  expect(counted).toBeGreaterThan(has);
  expect(counted).toBeLessThan(has * 1.25 + 3000);
  await store.upkeep.purge(-1000);
  expect(await usage()).toEqual({ checkpoint_bytes: "50000" });
  await store.jobs.cancel(OWNER, other);
  await store.upkeep.purge(-1000);
  expect(await usage()).toEqual({});
});

/** The memory of all keys of a job, without its dropped blobs. */
async function usedBy(id: string): Promise<number> {
  const found = (await redis.keys(`*${id}*`)).filter((key) => !key.endsWith(":dropped"));
  const permanent = await Promise.all(found.map(async (key) => ((await redis.ttl(key)) === -1 ? [key] : [])));
  const bytes = await Promise.all(permanent.flat().map((key) => redis.memory("USAGE", key, "SAMPLES", 0)));
  return bytes.reduce((sum: number, each) => sum + Number(each), 0);
}

test("the size of an owner's largest dataset is known, whichever it is", async () => {
  expect(await store.datasets.largest(OWNER)).toBe(0);
  for (const [id, bytes] of Object.entries({ a: 20, b: 60, c: 40 }))
    await store.datasets.put(OWNER, dataset(id, bytes));
  await store.datasets.put("bob", dataset("d", 90));
  expect(await store.datasets.largest(OWNER)).toBe(60);
});

test("a dataset's record counts for the memory that it takes in Redis", async () => {
  const record = (i: number) => {
    const [sha256, columns_sha256] = ["bytes", "columns"].map((what) =>
      createHash("sha256")
        .update(what + i)
        .digest("hex"),
    );
    return { ...dataset("a", 1), id: `ds_${ulid().toLowerCase()}`, sha256, columns_sha256 };
  };
  const taken = async () => Number(/used_memory:(\d+)/.exec(await redis.info("memory"))![1]);
  // The first ones also pay for what all share, such as the buffers of connections.
  for (let i = 0; i < 200; i++) await store.datasets.put(OWNER, record(i));
  const [before, counted] = [await taken(), Number((await usage()).checkpoint_bytes)];
  for (let i = 200; i < 2000; i++) await store.datasets.put(OWNER, record(i));
  expect(Number((await usage()).checkpoint_bytes) - counted).toBeGreaterThan((await taken()) - before);
});

test("datasets count once for each owner, until they are deleted", async () => {
  await limit({ dataset_bytes: 100 });
  await store.datasets.put(OWNER, dataset("a", 60));
  await store.datasets.put(OWNER, { ...dataset("a", 60), id: "ds_again" });
  await store.datasets.put("bob", dataset("a", 60));
  // With another reading the same bytes are another dataset.
  const otherwise = { ...dataset("a", 60), id: "ds_b", columns_sha256: "b".repeat(64) };
  await expect(store.datasets.put(OWNER, otherwise)).rejects.toMatchObject({ what: "dataset_bytes", more: 60 });
  await expect(store.datasets.put(OWNER, dataset("b", 41))).rejects.toMatchObject({ what: "dataset_bytes", more: 41 });
  await store.datasets.put(OWNER, dataset("c", 40));
  expect(await usage()).toMatchObject({ dataset_bytes: "100" });
  expect(await store.datasets.remove(OWNER, "ds_a")).toBe("removed");
  expect(await usage()).toMatchObject({ dataset_bytes: "40" });
  expect(await store.datasets.get(OWNER, "ds_b")).toBeNull();
  await store.datasets.remove(OWNER, "ds_c");
  // Their records counted as bytes in the store.
  expect(await usage()).toEqual({});
});
