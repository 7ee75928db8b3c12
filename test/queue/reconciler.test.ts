import { once } from "node:events";
import { Worker } from "bullmq";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Deliveries, queue } from "../../src/queue/deliveries.ts";
import { retrying } from "../../src/retries.ts";
import { Reconciler } from "../../src/queue/reconciler.ts";
import { FORMAT } from "../../src/store/format.ts";
import { keys } from "../../src/store/keys.ts";
import { acquire, eventTypes, lapse, OWNER, postJob } from "../store/support.ts";
import { redis, server, setUpStore, store } from "../store/setup.ts";

let deliveries: Deliveries;
const reconcilers: Reconciler[] = [];

setUpStore();
beforeAll(() => {
  deliveries = new Deliveries(redis);
});
afterAll(() => deliveries.close());
afterEach(() => Promise.all(reconcilers.splice(0).map((reconciler) => reconciler.close())));

function reconcile(keepMs = 1e9): void {
  const log = pino({ level: "silent" });
  reconcilers.push(new Reconciler(store, deliveries, { keepMs, log, intervalMs: 50 }));
}

/** Waits for a few passes. Each begins with the number of open jobs. */
async function somePasses(): Promise<void> {
  const looks = async () => Number(/cmdstat_hlen:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
  const before = await looks();
  await expect.poll(looks, { timeout: 10_000 }).toBeGreaterThan(before + 3);
}

async function waiting(): Promise<number> {
  return (await deliveries.lengths()).waiting;
}

/** Whether BullMQ still has the delivery. */
async function has(id: string, delivery: number): Promise<boolean> {
  return (await redis.exists(deliveries.bull.toKey(`${id}-${delivery}`))) === 1;
}

test("a job whose delivery was lost is delivered again, once, however many reconcilers there are", async () => {
  const id = await postJob(store);
  for (let i = 0; i < 5; i++) reconcile();
  await expect.poll(waiting).toBe(1);
  await somePasses();
  expect(await waiting()).toBe(1);
  expect(await has(id, 2)).toBe(true);
});

test("one process reconciles in an interval, whichever it is", async () => {
  const turns = await Promise.all(Array.from({ length: 5 }, () => store.upkeep.turn(60_000)));
  expect(turns.filter(Boolean)).toHaveLength(1);
  expect(await redis.pttl(keys.reconciler)).toBeGreaterThan(0);
  await redis.del(keys.reconciler);
  expect(await store.upkeep.turn(60_000)).toBe(true);
});

test("a run that died is delivered again when its lease has lapsed, not before", async () => {
  const id = await postJob(store);
  await acquire(store, id);
  reconcile();
  await somePasses();
  expect(await waiting()).toBe(0);
  await lapse(redis, id);
  await expect.poll(waiting).toBe(1);
});

test("the queue no longer has a delivery that failed", async () => {
  const id = await postJob(store);
  await deliveries.deliver({ owner: OWNER, id, delivery: 1, turn: 1 });
  const connection = server.client({ maxRetriesPerRequest: null });
  const fails = () => Promise.reject(new Error("no"));
  const worker = new Worker(queue.name, fails, { connection, prefix: queue.prefix });
  await once(worker, "failed");
  await worker.close();
  expect(await has(id, 1)).toBe(false);
  reconcile();
  await expect.poll(waiting).toBe(1);
});

test("jobs that wait for delivery, are paused or have ended are left alone", async () => {
  const delivered = await postJob(store);
  await deliveries.deliver({ owner: OWNER, id: delivered, delivery: 1, turn: 1 });
  const paused = await postJob(store);
  await store.jobs.pause(OWNER, paused);
  const cancelled = await postJob(store);
  await store.jobs.cancel(OWNER, cancelled);
  reconcile();
  await somePasses();
  expect(await deliveries.lengths()).toEqual({ waiting: 1, active: 0, delayed: 0 });
  expect(await has(delivered, 1)).toBe(true);
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
