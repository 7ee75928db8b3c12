// What the reconciler asks of the store (src/store/upkeep.ts).
import { expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import { acquire, lapse, OWNER, postJob, swept } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

const MINUTE_MS = 60_000;
const record = (id: string) => keys.job(OWNER, id);

setUpStore();

/** As if BullMQ had the job's first delivery. */
async function deliver(id: string): Promise<void> {
  await redis.hset(`{rappel}:deliveries:${id}-1`, "name", "train");
}

/** How many commands Redis has worked on, those of scripts included. */
async function commands(): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))![1]);
}

/** Posts a job that has waited for long. */
async function postOld(): Promise<string> {
  const id = await postJob(store);
  await redis.zadd(keys.waiting, 0, id);
  return id;
}

/** In how many milliseconds the reconciler looks at the job. */
async function lookIn(id: string): Promise<number> {
  return Number(await redis.zscore(keys.due, record(id))) - Date.now();
}

test("if two processes redeliver a lost job at once, only one does it", async () => {
  const id = await postOld();
  const lost = await Promise.all(Array.from({ length: 5 }, () => swept(store)));
  expect(lost.flat()).toEqual([{ owner: OWNER, id, delivery: 2, turn: 1 }]);
});

test("a job that was queued a moment ago is not missed yet, nor is one that was delivered again", async () => {
  const id = await postJob(store);
  expect(await swept(store)).toEqual([]);
  await redis.zadd(keys.waiting, 0, id);
  await redis.zadd(keys.due, 0, record(id));
  expect(await swept(store)).toMatchObject([{ id, delivery: 2 }]);
  expect(await swept(store)).toEqual([]);
});

test("a job that a run has taken meanwhile is not delivered again before its lease lapses", async () => {
  const id = await postJob(store);
  await acquire(store, id, { leaseMs: MINUTE_MS });
  await redis.zadd(keys.due, 0, record(id));
  expect(await swept(store)).toEqual([]);
  expect(await redis.zscore(keys.due, record(id))).toBe(await redis.hget(record(id), "lease_expires_at"));
  await lapse(redis, id);
  expect(await swept(store)).toMatchObject([{ id }]);
});

test("a turn costs nothing for jobs that are not due, however many wait, run or are paused", async () => {
  const ids = await Promise.all(Array.from({ length: 250 }, () => postJob(store)));
  await Promise.all(ids.map(deliver));
  await Promise.all(ids.slice(0, 20).map((id) => acquire(store, id, { leaseMs: MINUTE_MS })));
  await Promise.all(ids.slice(20, 40).map((id) => store.jobs.pause(OWNER, id)));
  expect(await swept(store)).toEqual([]);
  const before = await commands();
  for (let i = 0; i < 10; i++) await swept(store);
  expect((await commands()) - before).toBeLessThan(100);
});

test("the longer a job has waited, the less often the reconciler looks at it", async () => {
  const [young, old] = [await postJob(store), await postOld()];
  await Promise.all([young, old].map(deliver));
  expect(await swept(store)).toEqual([]);
  expect(await lookIn(young)).toBeLessThan(1.1 * MINUTE_MS);
  expect(await lookIn(old)).toBeGreaterThan(10 * MINUTE_MS);
  expect(await lookIn(old)).toBeLessThan(15 * MINUTE_MS);
});

test("all jobs that are due are found, however many there are", async () => {
  const posted = await Promise.all(Array.from({ length: 1200 }, postOld));
  expect((await swept(store)).map(({ id }) => id).sort()).toEqual(posted.sort());
});

test("the list of due jobs is made anew in a store of an earlier version, and when it is wrong", async () => {
  const [waits, paused, ended] = [await postOld(), await postJob(store), await postJob(store)];
  await store.jobs.pause(OWNER, paused);
  await store.jobs.cancel(OWNER, ended);
  const listed = async () => (await redis.zrange(keys.due, "0", "-1")).sort();
  const open = [waits, paused].map(record).sort();
  expect(await listed()).toEqual(open);

  await redis.del(keys.due);
  expect(await swept(store)).toMatchObject([{ id: waits }]);
  expect(await listed()).toEqual(open);
  expect(await redis.zscore(keys.due, record(paused))).toBe("inf");

  // An earlier version ended a job, and left it in the list.
  await redis.zadd(keys.due, "+inf", record(ended));
  await swept(store);
  expect(await listed()).toEqual(open);
});

test("an open job that an earlier version's process ended is taken off the list when it is due", async () => {
  const [ended, open] = [await postJob(store), await postJob(store)];
  await store.jobs.cancel(OWNER, ended);
  // The list has as many jobs as are open, but not the same ones.
  await redis.zadd(keys.due, 0, record(ended));
  await redis.zrem(keys.due, record(open));
  await swept(store);
  await swept(store);
  expect(await redis.zrange(keys.due, "0", "-1")).toEqual([record(open)]);
});
