// What a worker gets (src/store/claim.ts).
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Claim, ClaimOptions } from "../../src/store/claim.ts";
import { keys } from "../../src/store/keys.ts";
import type { NewJob } from "../../src/store/new-job.ts";
import type { Claimed } from "../../src/store/taken.ts";
import {
  acquire,
  checkpoint,
  claim,
  eventTypes,
  lapse,
  newJob,
  OWNER,
  PLACE,
  postJob,
  tryAcquire,
  tryClaim,
} from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

const succeeded = { status: "succeeded" as const, progress: null, events: [] };
const limit = (running: number) =>
  store.limitOwners({ waiting: null, running, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null });

/** Posts small jobs. They are in the order of their ids. */
async function small(count: number, workMs = 1, owner = OWNER): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await store.jobs.create(newJob({ owner, workMs }))).record!.id);
  return ids;
}

async function job(id: string, owner = OWNER) {
  return (await store.jobs.get(owner, id))!;
}

/** What `Lease.finish` is given to begin the next job. */
const next = (claimed: Claimed) => ({ claimed, place: PLACE });

/** As if the worker had died some time ago. */
async function lapseClaim(token: string, ids: readonly string[]): Promise<void> {
  await redis.del(keys.claim(token));
  for (const id of ids) await redis.zadd(keys.due, 0, keys.job(OWNER, id));
  await store.upkeep.sweep();
}

test("small jobs are claimed together: the first begins, the others stay queued", async () => {
  const ids = (await small(6)).sort();
  const claimed = await claim(store);
  expect(claimed.ids.toSorted()).toEqual(ids.slice(0, 3));
  expect(await job(claimed.ids[0])).toMatchObject({ status: "running", run: 1 });
  for (const id of claimed.ids.slice(1)) {
    expect(await job(id)).toMatchObject({ status: "queued", run: 0, started_at: null });
  }
  // Half of what waits is left to others, and nobody gets a job twice.
  expect([...claimed.ids, ...(await claim(store)).ids].toSorted()).toEqual(ids);
});

test("what is claimed takes 50 ms of training at most, as estimated, except for a single job", async () => {
  await small(20, 20);
  expect((await claim(store)).ids).toHaveLength(2);
  await redis.flushall();
  await small(20, 900);
  expect((await claim(store)).ids).toHaveLength(1);
});

test("a job that is not small is claimed alone, and ends what is claimed before it", async () => {
  const [first, second] = await small(2);
  const large = await postJob(store, { workMs: 60_000 });
  // Nobody knows how long a job of an earlier version trains.
  const older = await postJob(store);
  await redis.hdel(keys.job(OWNER, older), "work_ms");
  await small(10);
  // In the order in which they were posted.
  for (const [i, id] of [first, second, large, older].entries()) {
    await redis.zadd(`{rappel}:owner:${OWNER}:waiting`, i - 10, id);
  }
  expect((await claim(store)).ids).toEqual([first, second]);
  expect((await claim(store)).ids).toEqual([large]);
  expect((await claim(store)).ids).toEqual([older]);
});

test("a job that takes much memory does not come along, even if the worker is idle", async () => {
  const [first, second] = await small(2);
  const large = await postJob(store, { memoryBytes: 2 ** 25 + 1 });
  await small(10);
  for (const [i, id] of [first, second, large].entries()) {
    await redis.zadd(`{rappel}:owner:${OWNER}:waiting`, i - 10, id);
  }
  expect((await claim(store)).ids).toEqual([first, second]);
  expect((await claim(store)).ids[0]).toBe(large);
});

test("owners take turns within a claim too", async () => {
  await small(20, 1, "ann");
  await small(20, 1, "bob");
  const { first, rest } = await claim(store);
  const owners = [first.hold.owner, ...rest.map(({ owner }) => owner)];
  expect(owners.slice(0, 6)).toEqual(["ann", "bob", "ann", "bob", "ann", "bob"]);
});

test("a job that ends begins the next one in the same script", async () => {
  await small(6);
  const { lease, rest } = await claim(store);
  const taken = (await lease.finish(succeeded, [], next(rest[0])))!;
  expect(taken).toMatchObject({ hold: { jobId: rest[0].jobId, run: 1 }, workMs: 1, alone: false });
  expect((await job(lease.jobId)).status).toBe("succeeded");
  expect(await job(rest[0].jobId)).toMatchObject({ status: "running", run: 1 });
  expect(await store.lease(taken.hold).renew(5000)).toBe("running");
  // Its answer may be lost. Then the script comes again.
  expect((await lease.finish(succeeded, [], next(rest[0])))!.hold).toEqual(taken.hold);
  expect(await eventTypes(store, rest[0].jobId)).toEqual(["created", "started"]);
  expect(await lease.finish(succeeded, [])).toBeNull();
});

test("what a run reads first comes with its job, unless that is long or the job has a checkpoint", async () => {
  await small(6);
  const { lease, first, rest } = await claim(store);
  const second = (await lease.finish(succeeded, [], next(rest[0])))!;
  for (const { hold, work } of [first, second]) {
    const { status, ...known } = await store.lease(hold).work(work);
    expect(work).not.toBeNull();
    expect(status).toBe("running");
    expect(await store.lease(hold).work()).toMatchObject(known);
  }
  const inherited = { sha256: "x".repeat(20_000) } as unknown as NewJob["inherited"];
  expect(await tryAcquire(store, await postJob(store, { inherited }))).toMatchObject({ work: null });
  const begun = await acquire(store, await postJob(store));
  await checkpoint(begun, 20);
  await lapse(redis, begun.jobId);
  expect(await tryAcquire(store, begun.jobId)).toMatchObject({ work: null, hold: { run: 2 } });
});

test("a claim that is repeated with its token returns the same jobs, and takes no others", async () => {
  await small(10);
  const token = randomUUID();
  const once = await claim(store, { token });
  const again = await claim(store, { token });
  expect([again.first, again.rest]).toEqual([once.first, once.rest]);
  expect(await redis.zcard(keys.jobsWith(OWNER, "running"))).toBe(1);
});

describe("a claim that begins nothing", () => {
  const held = async (heldMs: number, options: Partial<ClaimOptions> = {}) => {
    const claimed = await tryClaim(store, { idle: false, heldMs, ...options });
    return claimed.outcome === "held" ? claimed.rest.map(({ jobId }) => jobId) : claimed.outcome;
  };

  test("brings as many small jobs as the place may have besides what it has", async () => {
    const ids = (await small(20, 10)).sort();
    expect(await held(25)).toEqual(ids.slice(0, 2));
    for (const id of ids.slice(0, 2)) expect(await job(id)).toMatchObject({ status: "queued", run: 0 });
    expect(await held(45)).toBe("nothing");
    expect(await held(0)).toEqual(ids.slice(2, 7));
    // Nobody else gets them.
    expect((await claim(store)).ids).toEqual(ids.slice(7, 12));
  });

  test("leaves half of what waits to others", async () => {
    const ids = (await small(5)).sort();
    expect(await held(0)).toEqual(ids.slice(0, 2));
    expect(await tryClaim(store)).toMatchObject({ first: { hold: { jobId: ids[2] } } });
  });

  test("that is repeated with its token returns the same jobs", async () => {
    await small(9);
    const token = randomUUID();
    const once = await held(0, { token });
    expect(once).toHaveLength(4);
    expect(await held(0, { token })).toEqual(once);
  });

  test("takes owners in turn", async () => {
    await small(9, 1, "ann");
    await small(9, 1, "bob");
    const { rest } = (await tryClaim(store, { heldMs: 0 })) as Extract<Claim, { outcome: "held" }>;
    expect(rest.slice(0, 4).map(({ owner }) => owner)).toEqual(["ann", "bob", "ann", "bob"]);
  });

  test("brings nothing while a job waits that has begun, or one for which this worker is to be idle", async () => {
    await small(9);
    const begun = await acquire(store, await postJob(store));
    await lapse(redis, begun.jobId);
    await store.upkeep.sweep();
    expect(await held(0)).toBe("nothing");
    expect(await tryClaim(store, { idle: false, worker: "a" })).toMatchObject({ outcome: "alone" });
    await redis.del("{rappel}:begun");
    expect(await held(0, { worker: "a" })).toBe("nothing");
    expect(await held(0, { worker: "b" })).toHaveLength(4);
  });
});

describe("a claimed job", () => {
  test("is cancelled or paused at once, and then does not begin", async () => {
    await small(6);
    const { lease, rest } = await claim(store);
    expect(await store.jobs.cancel(OWNER, rest[0].jobId)).toMatchObject({ outcome: "cancelled" });
    expect(await store.jobs.pause(OWNER, rest[1].jobId)).toMatchObject({ outcome: "paused" });
    expect(await lease.finish(succeeded, [], next(rest[0]))).toBeNull();
    expect(await store.begin(rest[1], PLACE)).toEqual({ outcome: "gone" });
    expect(await job(rest[0].jobId)).toMatchObject({ status: "cancelled", run: 0 });
    await store.jobs.resume(OWNER, rest[1].jobId);
    expect(await store.begin({ ...rest[1], token: "another" }, PLACE)).toMatchObject({ outcome: "taken" });
    expect(await store.begin(rest[1], PLACE)).toEqual({ outcome: "gone" });
  });

  test("waits again when its claim lapses, in its old place, and no crash is counted", async () => {
    await small(6);
    const token = randomUUID();
    const { ids, rest } = await claim(store, { token });
    await lapseClaim(token, ids.slice(1));
    const again = await claim(store);
    expect(again.ids.slice(0, 2)).toEqual(rest.map(({ jobId }) => jobId));
    expect(await eventTypes(store, rest[0].jobId)).toEqual(["created", "started"]);
    expect(await redis.hget(keys.job(OWNER, rest[0].jobId), "crashes")).toBeNull();
    // The process was frozen, and comes back.
    for (const claimed of rest) expect(await store.begin(claimed, PLACE)).toEqual({ outcome: "gone" });
    expect(await store.lease(again.first.hold).renew(5000)).toBe("running");
  });

  test("stays claimed as long as its claim is renewed, together with the leases", async () => {
    await small(4);
    const token = randomUUID();
    const { lease, rest, ids } = await claim(store, { token, leaseMs: 1 });
    const gone = await acquire(store, await postJob(store));
    await lapse(redis, gone.jobId);
    await acquire(store, gone.jobId);
    const holds = [lease, gone].map(({ hold }) => ({ ...hold, blame: "own" as const }));
    expect(await store.renew(60_000, holds, [token])).toEqual(["running", null]);
    for (const id of ids) await redis.zadd(keys.due, 0, keys.job(OWNER, id));
    await store.upkeep.sweep();
    expect(await store.begin(rest[0], PLACE)).toMatchObject({ outcome: "taken" });
  });

  test("waits again when the worker gives it up", async () => {
    await small(6);
    const { rest } = await claim(store);
    expect(await store.giveUp(rest)).toBe(true);
    expect((await claim(store)).ids.slice(0, 2)).toEqual(rest.map(({ jobId }) => jobId));
  });

  test("does not bring its owner over the limit of running jobs, and waits again", async () => {
    await limit(2);
    await small(8);
    const { lease, rest } = await claim(store);
    const other = await claim(store);
    // Both of the owner's running jobs are others' now.
    await lease.finish(succeeded, []);
    const third = await acquire(store, await postJob(store));
    expect(await store.begin(rest[0], PLACE)).toEqual({ outcome: "held" });
    expect((await tryClaim(store)).outcome).toBe("nothing");
    await third.finish(succeeded, []);
    expect((await claim(store)).ids[0]).toBe(rest[0].jobId);
    await other.lease.finish(succeeded, []);
  });
});

describe("wake-ups", () => {
  /** As if one were in the queue. */
  const wakeUp = () => redis.lpush("{rappel}:deliveries:wait", "1");

  test("are wanted by whoever queues a job, unless one is in the queue", async () => {
    expect(await store.jobs.create(newJob())).toMatchObject({ wake: true });
    expect(await store.jobs.create(newJob())).toMatchObject({ wake: true });
    await wakeUp();
    const { record } = await store.jobs.create(newJob());
    await store.jobs.pause(OWNER, record!.id);
    expect(await store.jobs.resume(OWNER, record!.id)).toMatchObject({ wake: false });
    await redis.del("{rappel}:deliveries:wait");
    await store.jobs.pause(OWNER, record!.id);
    expect(await store.jobs.resume(OWNER, record!.id)).toMatchObject({ wake: true });
  });

  test("are wanted by a worker that leaves jobs to others", async () => {
    await small(2);
    expect(await claim(store)).toMatchObject({ wake: true });
    expect(await claim(store)).toMatchObject({ wake: false });
    await small(2);
    await wakeUp();
    expect(await claim(store)).toMatchObject({ wake: false });
  });

  test("are wanted by the reconciler if one was lost", async () => {
    expect(await store.upkeep.sweep()).toBe(false);
    await postJob(store);
    expect(await store.upkeep.sweep()).toBe(true);
    await wakeUp();
    expect(await store.upkeep.sweep()).toBe(false);
  });
});

describe("a job that needs an idle worker", () => {
  const busy = { idle: false, memoryLeft: 100 };

  test("is reserved by one worker, which takes nothing else; others pass it over", async () => {
    const large = await postJob(store, { memoryBytes: 1000 });
    const other = (await small(1, 1, "other"))[0];
    expect(await tryClaim(store, { ...busy, worker: "a" })).toMatchObject({ outcome: "alone" });
    expect(await tryClaim(store, { ...busy, worker: "a" })).toMatchObject({ outcome: "alone" });
    await redis.hset(keys.job("other", other), "memory_bytes", 10);
    expect((await claim(store, { ...busy, worker: "b" })).ids).toEqual([other]);
    expect(await tryClaim(store, { ...busy, worker: "b" })).toMatchObject({ outcome: "nothing" });
    expect((await claim(store, { worker: "b" })).ids).toEqual([large]);
    expect(await tryClaim(store, { ...busy, worker: "a" })).toMatchObject({ outcome: "nothing" });
  });

  test("may be one whose run died", async () => {
    const id = await postJob(store);
    await acquire(store, id);
    await lapse(redis, id);
    await store.upkeep.sweep();
    const [ordinary] = (await small(2)).sort();
    expect(await tryClaim(store, { idle: false, worker: "a" })).toMatchObject({ outcome: "alone" });
    expect((await claim(store, { idle: false, worker: "b" })).ids).toEqual([ordinary]);
    expect(await claim(store, { worker: "a" })).toMatchObject({ ids: [id], first: { alone: true }, rest: [] });
  });
});

test("a claim looks past lists that are out of date, and clears them", async () => {
  const [cancelled] = await small(1, 1, "a");
  await store.jobs.cancel("a", cancelled);
  await redis.zadd("{rappel}:begun", 1, keys.job("a", cancelled), 2, keys.job("a", "job_never"));
  const id = await postJob(store);
  expect((await claim(store)).ids).toEqual([id]);
  expect(await redis.exists("{rappel}:begun", "{rappel}:owners")).toBe(0);
});
