import { expect, test } from "vitest";
import type { Heartbeat } from "../../src/store/overview.ts";
import { acquire, lapse, OWNER, postJob, tryAcquire } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

const none = { queued: 0, running: 0, pausing: 0, paused: 0, cancelling: 0, succeeded: 0, failed: 0, cancelled: 0 };
const requeued = { type: "requeued" as const, message: "Given back.", step: null, data: null };

test("jobs are counted by status, over all owners, through their whole life", async () => {
  expect(await store.overview.jobs()).toEqual(none);
  const [first, second] = [await postJob(store), await postJob(store)];
  await postJob(store, { owner: "bob" });
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 3 });

  const lease = await acquire(store, first);
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 2, running: 1 });
  await lease.release(requeued);
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 3 });
  await acquire(store, first);
  await store.jobs.cancel(OWNER, first);
  await store.jobs.cancel(OWNER, second);
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 1, cancelling: 1, cancelled: 1 });

  await lapse(redis, first);
  await store.jobs.cancel(OWNER, first);
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 1, cancelled: 2 });
  await store.upkeep.purge(-1000);
  expect(await store.overview.jobs()).toEqual({ ...none, queued: 1 });
});

test("the ends of jobs are counted, whoever ends them, and stay counted after a deletion", async () => {
  const ends = async () => {
    const counted = (await store.overview.ends()).filter(({ count }) => count > 0);
    return counted.map(({ status, code, count }) => [status, code, count]);
  };
  expect(await ends()).toEqual([]);
  const ids = [await postJob(store), await postJob(store), await postJob(store), await postJob(store)];
  await store.jobs.cancel(OWNER, ids[0]);
  const succeeds = await acquire(store, ids[1]);
  const success = { status: "succeeded" as const, progress: null, events: [] };
  await succeeds.finish(success, []);
  await succeeds.finish(success, []);
  const error = { code: "diverged" as const, message: "NaN.", suggestion: null, step: 3 };
  await (await acquire(store, ids[2])).finish({ status: "failed", error, progress: null, events: [] }, []);
  for (let run = 1; run <= 5; run++) {
    await acquire(store, ids[3]);
    await lapse(redis, ids[3]);
  }
  expect((await tryAcquire(store, ids[3])).outcome).toBe("gone");
  const all = [
    ["succeeded", "", 1],
    ["cancelled", "", 1],
    ["failed", "diverged", 1],
    ["failed", "crash_loop", 1],
  ];
  expect(await ends()).toEqual(all);
  await store.upkeep.purge(-1000);
  expect(await ends()).toEqual(all);
});

test("a run knows how long its job waited in the queue, unless it took the job from a dead run", async () => {
  const id = await postJob(store);
  await redis.zincrby("{rappel}:waiting", -60_000, id);
  const first = await tryAcquire(store, id);
  expect(first).toMatchObject({ outcome: "taken" });
  expect(first.outcome === "taken" && first.waitedMs! / 1000).toBeCloseTo(60, 0);
  await lapse(redis, id);
  expect(await tryAcquire(store, id)).toMatchObject({ outcome: "taken", waitedMs: null });
});

test("the wait of the oldest waiting job is known; other jobs do not count", async () => {
  const age = () => store.overview.oldestWaitingSeconds();
  expect(await age()).toBeNull();
  const [first, second] = [await postJob(store), await postJob(store)];
  await redis.zincrby("{rappel}:waiting", -60_000, first);
  expect(await age()).toBeCloseTo(60, 0);
  const lease = await acquire(store, first);
  expect(await age()).toBeLessThan(10);
  await store.jobs.cancel(OWNER, second);
  expect(await age()).toBeNull();
  await lease.release(requeued);
  expect(await age()).toBeLessThan(10);
});

test("workers are known as long as they send heartbeats", async () => {
  const worker = (id: string): Heartbeat => ({
    id,
    host: "h",
    pid: 1,
    started_at: "2026-11-22T09:30:00.000Z",
    draining: false,
    threads: { busy: 0, total: 2 },
    max_jobs: 1,
    running: [],
  });
  expect(await store.overview.workers()).toEqual([]);
  for (const id of ["b", "a", "c"]) await store.overview.beat(worker(id));
  await store.overview.beat({ ...worker("c"), draining: true });
  expect(await store.overview.workers()).toEqual([worker("a"), worker("b"), { ...worker("c"), draining: true }]);
  await store.overview.leave("a");
  expect(await redis.pttl("{rappel}:worker:b")).toBeGreaterThan(5000);
  await redis.del("{rappel}:worker:b");
  expect((await store.overview.workers()).map(({ id }) => id)).toEqual(["c"]);
  expect(await redis.smembers("{rappel}:workers")).toEqual(["c"]);
});
