// Sets of models in the record (src/store/sets.ts, lua/shared/set.lua).
import { describe, expect, test } from "vitest";
import type { JobResult } from "../../src/contract/wire/job.ts";
import { addTo, distributionOf } from "../../src/sets/distribution.ts";
import { collect } from "../../src/store/archive/collect.ts";
import { Database } from "../../src/store/database.ts";
import { keys } from "../../src/store/keys.ts";
import { OPEN_SHARDS } from "../../src/store/room-numbers.ts";
import type { Moments } from "../../src/store/record.ts";
import type { Lease } from "../../src/store/lease.ts";
import { claim, eventTypes, lapse, newJob, OWNER, postJob, tryClaim } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

const unlimited = { waiting: null, running: null, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null };

const limit = (running: number) => store.limitOwners({ ...unlimited, running });

/** A set of shards of 10 models. */
async function postSet(shards: number, options: Parameters<typeof newJob>[0] = {}): Promise<string> {
  const models = 10 * shards;
  const set = { models, shardModels: 10, pooled: null, workMs: 400, memoryBytes: 2 ** 20 };
  const job = newJob({ totalSteps: models, set, ...options });
  const created = await store.jobs.create(job);
  expect(created.outcome).toBe("created");
  return job.id;
}

async function job(id: string) {
  return (await store.jobs.get(OWNER, id))!;
}

const counts = { succeeded: 8, failed: 1, skipped: 1 };

async function end(lease: Lease, metrics: Readonly<Record<string, Moments>> = {}): Promise<void> {
  const result = { ...counts, bytes: 1000, metrics };
  await lease.finish({ status: "succeeded", result, progress: null, events: [] }, []);
}

function momentsOf(values: readonly number[]): Moments {
  return values.reduce<ReturnType<typeof addTo> | undefined>(addTo, undefined)!;
}

const result = { weights_sha256: "0".repeat(64), steps: 1, epochs: 1, metrics: {} } as unknown as JobResult;

async function openShards(id: string): Promise<number> {
  return await redis.scard(`${keys.job(OWNER, id)}:shards`);
}

/** Trains all shards that are left. Returns their numbers. */
async function endAll(): Promise<number[]> {
  const numbers: number[] = [];
  for (;;) {
    const claimed = await tryClaim(store);
    if (claimed.outcome !== "taken") return numbers;
    const lease = store.lease(claimed.first.hold);
    numbers.push(Number(lease.jobId.split(".")[1]));
    await end(lease);
  }
}

async function conclude(id: string): Promise<boolean> {
  const found = await store.sets.concluding(10);
  expect(found.map((set) => set.id)).toEqual([id]);
  return await store.sets.conclude(found[0], result, { succeeded: 16, failed: 2, skipped: 2 }, 500);
}

test("each shard is one range of models, and the set ends with what was made of all", async () => {
  const id = await postSet(2, {
    totalSteps: 15,
    set: { models: 15, shardModels: 10, pooled: null, workMs: 400, memoryBytes: 1 },
  });
  expect(await job(id)).toMatchObject({
    status: "queued",
    models: { total: 15, ended: 0, succeeded: 0, failed: 0, skipped: 0 },
    progress: { step: 0, total_steps: 15 },
  });
  const [first, second] = [await claim(store), await claim(store)];
  expect(await job(id)).toMatchObject({ status: "running", run: 1 });
  const works = await Promise.all([first, second].map(({ lease }) => store.sets.work(lease)));
  expect(works).toMatchObject([
    { setId: id, from: 0, to: 10 },
    { setId: id, from: 10, to: 15 },
  ]);
  await end(first.lease);
  expect(await store.sets.concluding(10)).toEqual([]);
  await end(second.lease);
  expect(await job(id)).toMatchObject({ status: "running", models: { ended: 20, failed: 2 } });
  expect(await conclude(id)).toBe(true);
  expect(await job(id)).toMatchObject({ status: "succeeded", models: { ended: 20, succeeded: 16 }, result });
  expect(await eventTypes(store, id)).toEqual(["created", "started", "succeeded"]);
  expect(await conclude(id).catch(() => "none")).toBe("none");
});

test("a set has few records however large it is, and leaves none", async () => {
  const before = await redis.dbsize();
  const id = await postSet(200);
  expect(await openShards(id)).toBe(OPEN_SHARDS);
  const numbers: number[] = [];
  const { lease } = await claim(store);
  numbers.push(Number(lease.jobId.split(".")[1]));
  await end(lease);
  expect(await openShards(id)).toBe(OPEN_SHARDS);
  numbers.push(...(await endAll()));
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, number) => number));
  expect(await store.jobs.list(OWNER, { limit: 10 })).toMatchObject({ data: [{ id }] });
  await conclude(id);
  const left = (await redis.keys("*")).filter((key) => key.includes(id));
  expect(left.toSorted()).toEqual([keys.job(OWNER, id), `${keys.job(OWNER, id)}:events`]);
  expect(await redis.hget(`{rappel}:owner:${OWNER}:usage`, "dataset_bytes")).toBe("500");
  expect((await store.jobs.remove(OWNER, id))!.outcome).toBe("removed");
  expect(await redis.hlen(keys.open)).toBe(0);
  expect(await redis.zcard(keys.due)).toBe(0);
  expect(await redis.zcard(keys.waiting)).toBe(0);
  expect(await redis.hgetall(`{rappel}:owner:${OWNER}:usage`)).toEqual({});
  expect(await redis.hgetall(keys.statuses)).toEqual({});
  expect(await redis.hlen(keys.results)).toBe(0);
  // What counts for all owners together stays.
  const kept = (await redis.keys("*")).filter((key) => !key.startsWith(keys.claim("")));
  expect(kept.length).toBeLessThan(before + 10);
});

test("a set counts as one running job, however many of its shards run", async () => {
  await limit(1);
  const [first, second] = [await postSet(3), await postSet(3)].toSorted();
  const leases = [await claim(store), await claim(store), await claim(store)].map(({ lease }) => lease);
  expect(leases.map(({ jobId }) => jobId.split(".")[0])).toEqual([first, first, first]);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  for (const lease of leases) await end(lease);
  expect(await redis.hget(keys.statuses, "running")).toBe("1");
  await conclude(first);
  expect((await claim(store)).lease.jobId).toBe(`${second}.0`);
});

describe("while a set runs", () => {
  test("its metrics so far are those of all its shards together, and the rate is that of this run", async () => {
    const id = await postSet(3);
    expect((await job(id)).models).toMatchObject({ per_second: null, distribution: {} });
    const leases = [await claim(store), await claim(store)].map(({ lease }) => lease);
    await end(leases[0], { valid_loss: momentsOf([1, 2, 6]) });
    await end(leases[1], { valid_loss: momentsOf([4]), valid_accuracy: momentsOf([0.5]) });
    const { models, progress } = await job(id);
    const { mean, std, min, max } = distributionOf(Float64Array.from([1, 2, 6, 4]));
    expect(models!.distribution.valid_loss.mean).toBeCloseTo(mean, 12);
    expect(models!.distribution.valid_loss).toMatchObject({ min, max, std: expect.closeTo(std, 12) as number });
    expect(models!.distribution.valid_accuracy).toEqual({ mean: 0.5, std: 0, min: 0.5, max: 0.5 });
    expect(progress.metrics).toEqual({ valid_loss: 3.25, valid_accuracy: 0.5 });
    expect(models!.per_second).toBeGreaterThan(0);
    expect(progress.eta_seconds).toBe(Math.floor(10 / models!.per_second!));
    await store.jobs.pause(OWNER, id);
    expect((await job(id)).models!.per_second).toBeNull();
  });

  test("a long pause does not count for its rate", async () => {
    const id = await postSet(3);
    await end((await claim(store)).lease);
    await store.jobs.pause(OWNER, id);
    await redis.hset(keys.job(OWNER, id), "started_at", 0, "went_at", 0);
    await store.jobs.resume(OWNER, id);
    await end((await claim(store)).lease);
    const { models, progress } = await job(id);
    expect(models!.per_second).toBeGreaterThan(0.1);
    expect(progress.eta_seconds).toBeLessThan(100);
  });

  test("huge metrics keep no shard from its end", async () => {
    const id = await postSet(2);
    const leases = [await claim(store), await claim(store)].map(({ lease }) => lease);
    await end(leases[0], { test_loss: momentsOf([1.7e308, -1.7e308, 1.7e308]) });
    await end(leases[1], { test_loss: momentsOf([-1.7e308]) });
    expect((await job(id)).models).toMatchObject({ ended: 20, distribution: { test_loss: { max: 1.7e308 } } });
    expect(await conclude(id)).toBe(true);
    expect((await job(id)).models!.distribution).toEqual({});
    expect(await redis.hexists(keys.job(OWNER, id), "metrics_so_far")).toBe(0);
  });
});

test("a set that runs goes on although a more urgent job of its owner must wait for it", async () => {
  await limit(1);
  const id = await postSet(3);
  await end((await claim(store)).lease);
  const spec = { ...newJob().spec, resources: { priority: 9 } };
  const urgent = await postJob(store, { spec: spec as ReturnType<typeof newJob>["spec"] });
  expect((await endAll()).toSorted((a, b) => a - b)).toEqual([1, 2]);
  await conclude(id);
  expect((await claim(store)).lease.jobId).toBe(urgent);
});

test("of two owners with five sets each both have every second turn, whoever came first", async () => {
  const other = "other";
  for (const owner of [OWNER, other]) for (let set = 0; set < 5; set++) await postSet(3, { owner });
  const owners: string[] = [];
  const sets = new Map<string, Set<string>>([OWNER, other].map((owner) => [owner, new Set()]));
  for (let turn = 0; turn < 30; turn++) {
    const { lease } = await claim(store);
    owners.push(lease.owner);
    sets.get(lease.owner)!.add(lease.jobId.split(".")[0]);
    await end(lease);
  }
  expect(owners).toEqual(Array.from({ length: 30 }, (_, turn) => (turn % 2 === 0 ? OWNER : other)));
  expect([...sets.values()].map(({ size }) => size)).toEqual([5, 5]);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  expect((await store.sets.concluding(20)).map(({ owner }) => owner).toSorted()).toEqual(
    [OWNER, other].flatMap((owner) => Array.from({ length: 5 }, () => owner)),
  );
});

describe("a set is cancelled", () => {
  test("at once if nobody trains a shard", async () => {
    const id = await postSet(3);
    expect((await store.jobs.cancel(OWNER, id))!.outcome).toBe("cancelled");
    expect(await job(id)).toMatchObject({ status: "cancelled" });
    expect((await tryClaim(store)).outcome).toBe("nothing");
    expect(await redis.hlen(keys.open)).toBe(0);
    expect((await store.jobs.cancel(OWNER, id))!.outcome).toBe("already");
  });

  test("when the last run has stopped, and what ended before is not kept", async () => {
    const id = await postSet(3);
    const [first, second] = [await claim(store), await claim(store)];
    await end(first.lease);
    expect((await store.jobs.cancel(OWNER, id))!.outcome).toBe("cancelling");
    expect(await openShards(id)).toBe(1);
    expect(await second.lease.renew(5000)).toBe("cancelling");
    await second.lease.finish({ status: "cancelled", progress: null, events: [] }, []);
    expect(await job(id)).toMatchObject({ status: "cancelled" });
    expect(await eventTypes(store, id)).toEqual(["created", "started", "cancelling", "cancelled"]);
    expect(await redis.hgetall(`{rappel}:owner:${OWNER}:usage`)).not.toHaveProperty("dataset_bytes");
    expect(await store.withoutResult([`${id}.0`])).toEqual([`${id}.0`]);
  });

  test("also if the runs die before they hear of it", async () => {
    const id = await postSet(1);
    const { lease } = await claim(store);
    await store.jobs.cancel(OWNER, id);
    await lapse(redis, lease.jobId);
    await store.upkeep.sweep();
    expect(await job(id)).toMatchObject({ status: "cancelled" });
  });
});

test("a paused set goes on with the models that have not ended", async () => {
  const id = await postSet(3);
  const [first, second] = [await claim(store), await claim(store)];
  await end(first.lease);
  expect((await store.jobs.pause(OWNER, id))!.outcome).toBe("pausing");
  expect(await second.lease.renew(5000)).toBe("pausing");
  await second.lease.release({ type: "requeued", message: "", step: null, data: null });
  expect(await job(id)).toMatchObject({ status: "paused", models: { ended: 10 } });
  expect((await tryClaim(store)).outcome).toBe("nothing");
  await store.upkeep.sweep();
  expect((await store.jobs.resume(OWNER, id))!.record.status).toBe("queued");
  expect((await endAll()).toSorted((a, b) => a - b)).toEqual([1, 2]);
  expect(await conclude(id)).toBe(true);
  expect(await eventTypes(store, id)).toEqual([
    "created",
    "started",
    "pausing",
    "paused",
    "requeued",
    "resumed",
    "succeeded",
  ]);
});

test("a shard whose run died is trained by another, and who comes back writes nothing", async () => {
  const id = await postSet(1);
  const { lease } = await claim(store);
  await lapse(redis, lease.jobId);
  await store.upkeep.sweep();
  const again = await claim(store);
  expect(again.lease).toMatchObject({ jobId: lease.jobId, run: 2 });
  await expect(end(lease)).rejects.toThrow("lease");
  await end(again.lease);
  await expect(end(again.lease)).rejects.toThrow("lease");
  expect(await job(id)).toMatchObject({ models: { ended: 10 } });
});

test("a shard that kills its workers, or fails, fails the set once the others have stopped", async () => {
  const id = await postSet(3);
  const other = await claim(store);
  for (let death = 0; death < 5; death++) {
    const { lease } = await claim(store);
    await lapse(redis, lease.jobId);
    await store.upkeep.sweep();
  }
  await tryClaim(store);
  expect(await job(id)).toMatchObject({ status: "running", error: null });
  expect(await other.lease.renew(5000)).toBe("cancelling");
  await other.lease.finish({ status: "cancelled", progress: null, events: [] }, []);
  expect(await job(id)).toMatchObject({ status: "failed", error: { code: "crash_loop" } });
  expect((await eventTypes(store, id)).at(-1)).toBe("failed");
  expect((await tryClaim(store)).outcome).toBe("nothing");
});

test("a shard whose results are damaged is trained again", async () => {
  const id = await postSet(2);
  await endAll();
  const [set] = await store.sets.concluding(10);
  await store.sets.giveBack(set, 1, 10);
  expect(await store.sets.concluding(10)).toEqual([]);
  expect(await endAll()).toEqual([1]);
  expect(await conclude(id)).toBe(true);
  expect(await redis.hget(`{rappel}:owner:${OWNER}:usage`, "dataset_bytes")).toBe("500");
});

test("a set whose results are damaged again and again fails with the reason", async () => {
  const id = await postSet(2);
  await endAll();
  for (let times = 1; times < 5; times++) {
    const [set] = await store.sets.concluding(10);
    await store.sets.giveBack(set, 1, 10);
    expect(await job(id)).toMatchObject({ status: "running", error: null });
    expect(await endAll()).toEqual([1]);
  }
  const [set] = await store.sets.concluding(10);
  expect(await store.sets.giveBack(set, 1, 10)).toBe(false);
  expect(await job(id)).toMatchObject({ status: "failed", error: { code: "results_unreadable" } });
  expect((await job(id)).error!.message).toContain("shard 1 were damaged or missing 5 times");
  expect(await redis.exists(`${keys.job(OWNER, id)}:damaged`)).toBe(0);
  expect(await redis.hgetall(`{rappel}:owner:${OWNER}:usage`)).not.toHaveProperty("dataset_bytes");
});

test("the counts of a set are never negative, whatever its models were that are trained again", async () => {
  const id = await postSet(1);
  const { lease } = await claim(store);
  const result = { succeeded: 1, failed: 2, skipped: 7, bytes: 1000, metrics: {} };
  await lease.finish({ status: "succeeded", result, progress: null, events: [] }, []);
  const [set] = await store.sets.concluding(10);
  await store.sets.giveBack(set, 0, 10);
  expect((await job(id)).models).toMatchObject({ total: 10, ended: 0, succeeded: 0, failed: 0, skipped: 0 });
});

test("a set that brings its owner beyond the bytes of datasets fails, and gives them back", async () => {
  await store.limitOwners({ ...unlimited, dataset_bytes: 2500 });
  const id = await postSet(5);
  const leases = [await claim(store), await claim(store), await claim(store), await claim(store)];
  for (const { lease } of leases.slice(0, 3)) await end(lease);
  // No other shard is open, and none that is open goes on.
  expect(await openShards(id)).toBe(1);
  expect(await leases[3].lease.renew(5000)).toBe("cancelling");
  await leases[3].lease.finish({ status: "cancelled", progress: null, events: [] }, []);
  const { status, error } = await job(id);
  expect([status, error!.code]).toEqual(["failed", "over_limit"]);
  expect(error!.message).toContain("has 3000 bytes of datasets, and may have 2500 (RAPPEL_OWNER_MAX_DATASET_BYTES)");
  expect(error!.message).toContain("30 models of 50");
  expect(await redis.hgetall(`{rappel}:owner:${OWNER}:usage`)).not.toHaveProperty("dataset_bytes");
  expect(await store.sets.discarded(10)).toEqual([{ owner: OWNER, id }]);
});

test("a set that was paused while its results were put together ends when it is resumed", async () => {
  const id = await postSet(1);
  await endAll();
  expect((await store.jobs.pause(OWNER, id))!.outcome).toBe("paused");
  expect(await conclude(id)).toBe(false);
  await store.jobs.resume(OWNER, id);
  await store.upkeep.sweep();
  expect(await conclude(id)).toBe(true);
  expect(await job(id)).toMatchObject({ status: "succeeded" });
});

test("shards are in no list and in no count of their owner's jobs", async () => {
  const id = await postSet(3);
  const { lease } = await claim(store);
  const plain = await postJob(store);
  const ids = (await store.jobs.list(OWNER, { limit: 10 })).data.map((one) => one.id);
  expect(ids.toSorted()).toEqual([id, plain].toSorted());
  expect(await redis.hgetall(keys.statuses)).toEqual({ running: "1", queued: "1" });
  await end(lease);
  expect(await redis.hgetall(keys.ends)).toEqual({});
});

test("a set stays out of the archive, also if all ended jobs are looked at", async () => {
  const id = await postSet(1);
  await endAll();
  expect(await conclude(id)).toBe(true);
  expect(await redis.zscore(keys.unarchived, keys.job(OWNER, id))).toBeNull();
  expect(await collect(new Database(redis), keys.job(OWNER, id))).toBe("done");
});
