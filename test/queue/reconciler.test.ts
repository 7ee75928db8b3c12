import { once } from "node:events";
import { Worker } from "bullmq";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { queue, WakeUps } from "../../src/queue/wake-ups.ts";
import { retrying } from "../../src/retries.ts";
import { Reconciler } from "../../src/queue/reconciler.ts";
import { FORMAT } from "../../src/store/format.ts";
import { keys } from "../../src/store/keys.ts";
import { acquire, claim, eventTypes, lapse, OWNER, postJob, tryClaim } from "../store/support.ts";
import { redis, server, setUpStore, store } from "../store/setup.ts";

let wakeUps: WakeUps;
const reconcilers: Reconciler[] = [];

setUpStore();
beforeAll(() => {
  wakeUps = new WakeUps(redis);
});
afterAll(() => wakeUps.close());
afterEach(() => Promise.all(reconcilers.splice(0).map((reconciler) => reconciler.close())));

function reconcile(keepMs = 1e9): void {
  const log = pino({ level: "silent" });
  reconcilers.push(new Reconciler(store, wakeUps, { keepMs, log, intervalMs: 50 }));
}

/** Waits for a few passes. Each begins with the number of open jobs. */
async function somePasses(): Promise<void> {
  const looks = async () => Number(/cmdstat_hlen:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
  const before = await looks();
  await expect.poll(looks, { timeout: 10_000 }).toBeGreaterThan(before + 3);
}

function waiting(): Promise<number> {
  return wakeUps.bull.getWaitingCount();
}

test("a lost wake-up is replaced, once, however many reconcilers there are and jobs wait", async () => {
  for (let i = 0; i < 3; i++) await postJob(store);
  for (let i = 0; i < 5; i++) reconcile();
  await expect.poll(waiting).toBe(1);
  await somePasses();
  expect(await waiting()).toBe(1);
});

test("one process reconciles in an interval, whichever it is", async () => {
  const turns = await Promise.all(Array.from({ length: 5 }, () => store.upkeep.turn(60_000)));
  expect(turns.filter(Boolean)).toHaveLength(1);
  expect(await redis.pttl(keys.reconciler)).toBeGreaterThan(0);
  await redis.del(keys.reconciler);
  expect(await store.upkeep.turn(60_000)).toBe(true);
});

test("a worker is woken for a run that died when its lease has lapsed, not before", async () => {
  const id = await postJob(store);
  await claim(store);
  reconcile();
  await somePasses();
  expect(await waiting()).toBe(0);
  await lapse(redis, id);
  await expect.poll(waiting).toBe(1);
});

test("a wake-up whose worker failed is replaced", async () => {
  await postJob(store);
  await wakeUps.add();
  const connection = server.client({ maxRetriesPerRequest: null });
  const fails = () => Promise.reject(new Error("no"));
  const worker = new Worker(queue.name, fails, { connection, prefix: queue.prefix });
  await once(worker, "failed");
  await worker.close();
  expect(await waiting()).toBe(0);
  reconcile();
  await expect.poll(waiting).toBe(1);
});

test("jobs that are paused, claimed or have ended, or whose owner is at the limit, wake nobody", async () => {
  const [paused, ended] = [await postJob(store), await postJob(store)];
  await store.jobs.pause(OWNER, paused);
  await store.jobs.cancel(OWNER, ended);
  for (let i = 0; i < 3; i++) await postJob(store, { workMs: 1 });
  expect((await claim(store, { leaseMs: 60_000 })).ids).toHaveLength(2);
  await store.limitOwners({
    waiting: null,
    running: 1,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  expect((await tryClaim(store)).outcome).toBe("nothing");
  reconcile();
  await somePasses();
  expect(await waiting()).toBe(0);
});

test("a job whose run was asked to stop and died is cancelled or paused", async () => {
  const [cancelling, pausing] = [await postJob(store), await postJob(store)];
  for (const id of [cancelling, pausing]) await acquire(store, id);
  await store.jobs.cancel(OWNER, cancelling);
  await redis.hset(`{rappel}:owner:${OWNER}:job:${pausing}`, "status", "pausing");
  reconcile();
  await somePasses();
  expect((await store.jobs.get(OWNER, cancelling))!.status).toBe("cancelling");
  for (const id of [cancelling, pausing]) await lapse(redis, id);
  await expect.poll(async () => (await store.jobs.get(OWNER, cancelling))!.status).toBe("cancelled");
  await expect.poll(async () => (await store.jobs.get(OWNER, pausing))!.status).toBe("paused");
  expect((await eventTypes(store, pausing)).at(-1)).toBe("paused");
});

test("jobs are deleted when they ended long enough ago", async () => {
  const [open, over] = [await postJob(store), await postJob(store)];
  await store.jobs.cancel(OWNER, over);
  reconcile(600_000);
  await somePasses();
  expect(await store.jobs.get(OWNER, over)).toMatchObject({ status: "cancelled" });
  await reconcilers.pop()!.close();
  reconcile(0);
  await expect.poll(() => store.jobs.get(OWNER, over), { timeout: 10_000 }).toBeNull();
  expect((await store.jobs.list(OWNER, { limit: 10 })).data.map(({ id }) => id)).toEqual([open]);
});

test("passes go on after Redis was away", async () => {
  reconcile();
  server.kill();
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("reconcile");
  await server.restart();
  await expect
    .poll(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      { timeout: 5000 },
    )
    .toBe(true);
  await postJob(store);
  await expect.poll(waiting, { timeout: 5000 }).toBe(1);
});

test("nothing is changed in a store of a later version", async () => {
  await postJob(store);
  await redis.set("{rappel}:format", FORMAT + 1);
  reconcile();
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("reconcile");
  expect(await waiting()).toBe(0);
  await redis.set("{rappel}:format", FORMAT);
  await expect.poll(waiting, { timeout: 10_000 }).toBe(1);
});
