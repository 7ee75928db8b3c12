// What the reconciler asks of the store (src/store/upkeep.ts).
import { expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import { acquire, claim, lapse, OWNER, postJob, tryClaim } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

const MINUTE_MS = 60_000;
const record = (id: string) => keys.job(OWNER, id);

setUpStore();

/** How many commands Redis has worked on, those of scripts included. */
async function commands(): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))![1]);
}

/** What the next worker gets. */
async function next(): Promise<string> {
  return (await claim(store)).lease.jobId;
}

test("a run whose lease has ended is found, a run that goes on is not", async () => {
  const [dies, lives] = [await postJob(store), await postJob(store)];
  for (const id of [dies, lives]) await acquire(store, id, { leaseMs: MINUTE_MS });
  await redis.zadd(keys.due, 0, record(lives));
  await lapse(redis, dies);
  expect(await store.upkeep.sweep()).toBe(true);
  expect(await redis.zscore(keys.due, record(lives))).toBe(await redis.hget(record(lives), "lease_expires_at"));
  expect(await next()).toBe(dies);
  expect(await tryClaim(store)).toMatchObject({ outcome: "nothing" });
});

test("a run that comes back before another has taken its job keeps it", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await lapse(redis, id);
  await store.upkeep.sweep();
  await lease.renew(MINUTE_MS);
  expect(await tryClaim(store)).toMatchObject({ outcome: "nothing" });
  await redis.hdel(record(id), "lease_expires_at");
  await redis.zadd(keys.due, 0, record(id));
  await store.upkeep.sweep();
  expect(await next()).toBe(id);
});

test("a turn costs nothing for jobs that are not due, however many wait, run or are paused", async () => {
  const ids = await Promise.all(Array.from({ length: 250 }, () => postJob(store)));
  await Promise.all(ids.slice(0, 20).map((id) => acquire(store, id, { leaseMs: MINUTE_MS })));
  await Promise.all(ids.slice(20, 40).map((id) => store.jobs.pause(OWNER, id)));
  await store.upkeep.sweep();
  const before = await commands();
  for (let i = 0; i < 10; i++) await store.upkeep.sweep();
  expect((await commands()) - before).toBeLessThan(100);
});

test("all jobs that are due are found, however many there are", async () => {
  const posted = await Promise.all(Array.from({ length: 1200 }, () => postJob(store)));
  await Promise.all(posted.map((id) => acquire(store, id)));
  for (const id of posted) await redis.zadd(keys.due, 0, record(id));
  for (const id of posted) await redis.hdel(record(id), "lease_expires_at");
  await store.upkeep.sweep();
  expect(await redis.zcard("{rappel}:begun")).toBe(1200);
});

test("a store of an earlier version: its waiting jobs get their turns, and its died runs go on", async () => {
  const [waits, died] = [await postJob(store), await postJob(store)];
  await acquire(store, died);
  await redis.hdel(record(died), "lease_expires_at");
  // That version had its own lists.
  await redis.del("{rappel}:owners", "{rappel}:due");
  expect(await store.upkeep.sweep()).toBe(true);
  expect([await next(), await next()]).toEqual([died, waits]);
});

test("a delivery of an earlier version gives its owner a turn at once", async () => {
  const id = await postJob(store);
  await redis.del("{rappel}:owners");
  expect(await tryClaim(store)).toMatchObject({ outcome: "nothing" });
  expect((await claim(store, { delivered: OWNER })).lease.jobId).toBe(id);
});

test("the list of due jobs is made anew in a store of an earlier version, and when it is wrong", async () => {
  const [waits, paused, ended] = [await postJob(store), await postJob(store), await postJob(store)];
  await store.jobs.pause(OWNER, paused);
  await store.jobs.cancel(OWNER, ended);
  const listed = async () => (await redis.zrange(keys.due, "0", "-1")).sort();
  const open = [waits, paused].map(record).sort();
  expect(await listed()).toEqual(open);

  await redis.del(keys.due);
  await store.upkeep.sweep();
  expect(await listed()).toEqual(open);
  expect(await redis.zscore(keys.due, record(paused))).toBe("inf");

  // An earlier version ended a job, and left it in the list.
  await redis.zadd(keys.due, "+inf", record(ended));
  await store.upkeep.sweep();
  expect(await listed()).toEqual(open);
});

test("an open job that an earlier version's process ended is taken off the list when it is due", async () => {
  const [ended, open] = [await postJob(store), await postJob(store)];
  await store.jobs.cancel(OWNER, ended);
  // The list has as many jobs as are open, but not the same ones.
  await redis.zadd(keys.due, 0, record(ended));
  await redis.zrem(keys.due, record(open));
  await store.upkeep.sweep();
  await store.upkeep.sweep();
  expect(await redis.zrange(keys.due, "0", "-1")).toEqual([record(open)]);
});
