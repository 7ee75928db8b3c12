// Owners take turns: however many jobs one owner posts, another waits for no more than one turn.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Taken } from "../../src/store/taken.ts";
import { acquire, claim, newJob, PLACE, tryAcquire, tryClaim } from "../store/support.ts";
import { redis, setUpStore, store } from "../store/setup.ts";

const SMALL_MS = 1;
const LARGE_MS = 1000;

setUpStore();
beforeEach(() => {
  ids.length = 0;
  followed = 0;
  workMs = LARGE_MS;
});

/** Jobs that are small are claimed together, and one begins when another ends. Others are not. */
let workMs: number;

async function post(owner: string): Promise<string> {
  const created = await store.jobs.create(newJob({ owner, workMs }));
  if (created.outcome !== "created") throw new Error(created.outcome);
  return created.record.id;
}

async function postMany(owner: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await post(owner);
}

/** The jobs that were run, in order. */
const ids: string[] = [];
/** How many of them began with the end of another. */
let followed: number;

/**
 * Runs `count` jobs one after the other, and returns their owners. `meanwhile` is called before
 * each.
 */
async function runs(count: number, meanwhile?: (nth: number) => Promise<unknown>): Promise<string[]> {
  const owners: string[] = [];
  while (owners.length < count) {
    const { first, rest } = await claim(store);
    let taken: Taken | null = first;
    for (let i = 0; taken !== null; i++) {
      const lease = store.lease(taken.hold);
      owners.push(lease.owner);
      ids.push(lease.jobId);
      await meanwhile?.(owners.length);
      const next = i < rest.length ? { claimed: rest[i], place: PLACE } : null;
      taken = await lease.finish(cancelled, [], next);
      if (taken !== null) followed++;
    }
  }
  return owners.slice(0, count);
}

const back = { type: "requeued" as const, message: "Back.", step: null, data: null };
const limit = (running: number) =>
  store.limitOwners({ waiting: null, running, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null });
const cancelled = { status: "cancelled" as const, progress: null, events: [] };

describe.each([
  ["jobs of a lane", SMALL_MS],
  ["other jobs", LARGE_MS],
])("%s", (_kind, ms) => {
  beforeEach(() => {
    workMs = ms;
  });
  afterEach(() => {
    if (ms === SMALL_MS) expect(followed).toBeGreaterThan(0);
    else expect(followed).toBe(0);
  });

  test("a hundred jobs of one owner delay the first job of another by one job", async () => {
    await postMany("ann", 100);
    await post("bob");
    expect(await runs(4)).toEqual(["ann", "bob", "ann", "ann"]);
  });

  test("owners who all have many jobs take turns", async () => {
    for (const owner of ["ann", "bob", "eve"]) await postMany(owner, 20);
    const order = await runs(30);
    for (let turn = 0; turn < 10; turn++) {
      expect(order.slice(3 * turn, 3 * turn + 3).sort()).toEqual(["ann", "bob", "eve"]);
    }
  });

  test("the jobs of one owner run in the order in which they came", async () => {
    const posted: string[] = [];
    for (let i = 0; i < 10; i++) posted.push(await post("ann"));
    await runs(20, async () => posted.length < 20 && posted.push(await post("ann")));
    // The order of jobs that came within one millisecond is undefined.
    expect(ids).toEqual(posted.toSorted());
  });

  test("the most urgent job of an owner takes the owner's turn; other owners do not wait for it", async () => {
    const [first, second] = [await post("ann"), await post("ann")].sort();
    const his = await post("bob");
    const urgent = [await post("ann"), await post("ann")].sort();
    for (const id of urgent) await redis.zadd("{rappel}:owner:ann:waiting", -5, id);
    await runs(5);
    expect(ids).toEqual([urgent[0], his, urgent[1], first, second]);
  });

  test("an owner who cancels waiting jobs does not wait for their turns", async () => {
    await postMany("ann", 5);
    const { data } = await store.jobs.list("ann", { limit: 100 });
    for (const { id } of data.slice(0, 4)) await store.jobs.cancel("ann", id);
    await postMany("bob", 3);
    expect(await runs(2)).toEqual(["ann", "bob"]);
  });

  test("a job that is given back goes first", async () => {
    await post("ann");
    const { lease } = await claim(store);
    await postMany("bob", 3);
    await lease.release(back);
    expect(await runs(2)).toEqual(["ann", "bob"]);
  });
});

test("the same holds after many of the hundred have run", async () => {
  await postMany("ann", 100);
  const order = await runs(60, (nth) => (nth === 50 ? post("bob") : Promise.resolve()));
  expect(order.indexOf("bob")).toBeLessThanOrEqual(51);
});

test("an owner who always posts one more job does not delay an owner who posted many", async () => {
  await postMany("ann", 10);
  await post("bob");
  const order = await runs(16, () => post("bob"));
  expect(order.filter((owner) => owner === "ann")).toHaveLength(8);
});

test("a job that is given back because its data are missing lets its owner's other jobs go first", async () => {
  const [first, second, third] = [await post("ann"), await post("ann"), await post("ann")].sort();
  const { lease } = await claim(store);
  expect(lease.jobId).toBe(first);
  await lease.release(back, [], true);
  expect((await claim(store)).lease.jobId).toBe(second);
  // It waits for some seconds.
  await redis.zadd("{rappel}:due", 0, `{rappel}:owner:ann:job:${first}`);
  await store.upkeep.sweep();
  expect((await claim(store)).lease.jobId).toBe(third);
  const later = await post("ann");
  expect((await claim(store)).lease.jobId).toBe(later);
  const again = (await claim(store)).lease;
  expect(again.jobId).toBe(first);
  // If it is given back for another reason, it is the first again.
  await again.release(back);
  await post("ann");
  expect((await claim(store)).lease.jobId).toBe(first);
});

test("a job that waits for what it lacks is not tried again before the reconciler looks", async () => {
  await post("ann");
  await (await claim(store)).lease.release(back, [], true);
  await store.upkeep.sweep();
  expect(await tryClaim(store)).toEqual({ outcome: "nothing", wake: false });
});

test("a job that took another job's turn did not use up its own", async () => {
  await postMany("ann", 50);
  await redis.zadd("{rappel}:owner:ann:waiting", -5, await post("ann"));
  const order = await runs(4, async (nth) => nth === 1 && (await post("bob")));
  expect(order).toEqual(["ann", "ann", "bob", "ann"]);
});

test("no more jobs of one owner run than the limit allows; a job that a new run takes over counts once", async () => {
  await limit(2);
  const ids = [await post("ann"), await post("ann"), await post("ann")];
  const owner = "ann";
  const [first] = [await acquire(store, ids[0], { owner }), await acquire(store, ids[1], { owner })];
  expect(await tryAcquire(store, ids[2], { owner })).toEqual({ outcome: "held" });
  const bobs = await post("bob");
  expect((await claim(store)).lease.jobId).toBe(bobs);
  expect(await tryClaim(store)).toEqual({ outcome: "nothing", wake: false });
  await redis.hdel(`{rappel}:owner:ann:job:${ids[1]}`, "lease_expires_at");
  expect((await tryAcquire(store, ids[1], { owner })).outcome).toBe("taken");
  await first.finish(cancelled, []);
  expect((await claim(store)).lease.jobId).toBe(ids[2]);
});

test("owners who run as many jobs as they may cost nothing until one of these ends, or the limit changes", async () => {
  await limit(1);
  await postMany("ann", 50);
  const { lease } = await claim(store);
  expect(await tryClaim(store)).toEqual({ outcome: "nothing", wake: false });
  expect(await redis.zcard("{rappel}:owners")).toBe(0);
  expect(await store.overview.queue()).toEqual({ waiting: 0, active: 1, delayed: 49 });
  await limit(2);
  await redis.zadd("{rappel}:held", 0, "ann");
  expect(await store.upkeep.sweep()).toBe(true);
  const second = (await claim(store)).lease;
  expect(await tryClaim(store)).toMatchObject({ outcome: "nothing" });
  await lease.finish(cancelled, []);
  await claim(store);
  await second.release(back);
  expect((await claim(store)).lease.jobId).toBe(second.jobId);
});

test("a run that was asked to stop counts as running until it has stopped", async () => {
  await limit(2);
  await postMany("ann", 4);
  const [pausing, cancelling] = [(await claim(store)).lease, (await claim(store)).lease];
  await store.jobs.pause("ann", pausing.jobId);
  await store.jobs.cancel("ann", cancelling.jobId);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  await cancelling.finish(cancelled, []);
  await claim(store);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  await pausing.release(back);
  await claim(store);
});
