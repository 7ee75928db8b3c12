// Owners take turns: however many jobs one owner posts, another waits for no more than one turn.
import { Worker } from "bullmq";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Deliveries, queue, type Delivery } from "../../src/queue/deliveries.ts";
import { acquire, newJob, tryAcquire } from "../store/support.ts";
import { redis, server, setUpStore, store } from "../store/setup.ts";

let deliveries: Deliveries;

setUpStore();
beforeAll(() => {
  deliveries = new Deliveries(redis);
});
afterAll(() => deliveries.close());
beforeEach(() => {
  ids.length = 0;
});

async function post(owner: string): Promise<string> {
  const created = await store.jobs.create(newJob({ owner }));
  if (created.outcome !== "created") throw new Error(created.outcome);
  await deliveries.deliver({ owner, id: created.record.id, delivery: 1, turn: created.turn });
  return created.record.id;
}

async function postMany(owner: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await post(owner);
}

/** The jobs that were run, in order. */
const ids: string[] = [];

/**
 * Runs `count` jobs one after the other, and returns their owners. `meanwhile` is called before
 * each.
 */
async function runs(count: number, meanwhile?: (nth: number) => Promise<unknown>): Promise<string[]> {
  const owners: string[] = [];
  const done = Promise.withResolvers<void>();
  const connection = server.client({ maxRetriesPerRequest: null });
  const worker = new Worker<Delivery>(
    queue.name,
    async ({ data }) => {
      if (owners.length === count) return;
      const lease = await acquire(store, data.job_id, { turnOf: data });
      owners.push(lease.owner);
      ids.push(lease.jobId);
      await meanwhile?.(owners.length);
      await lease.finish({ status: "cancelled", progress: null, events: [] }, []);
      if (owners.length === count) done.resolve();
    },
    { connection, prefix: queue.prefix },
  );
  worker.on("failed", (_job, error) => done.reject(error));
  await done.promise;
  await worker.close();
  return owners;
}

test("a hundred jobs of one owner delay the first job of another by one job", async () => {
  await postMany("ann", 100);
  await post("bob");
  expect(await runs(4)).toEqual(["ann", "bob", "ann", "ann"]);
});

test("the same holds after many of the hundred have run", async () => {
  await postMany("ann", 100);
  const order = await runs(60, (nth) => (nth === 50 ? post("bob") : Promise.resolve()));
  expect(order.indexOf("bob")).toBeLessThanOrEqual(51);
});

test("owners who all have many jobs take turns", async () => {
  for (const owner of ["ann", "bob", "eve"]) await postMany(owner, 20);
  const order = await runs(30);
  for (let turn = 0; turn < 10; turn++) {
    expect(order.slice(3 * turn, 3 * turn + 3).sort()).toEqual(["ann", "bob", "eve"]);
  }
});

test("an owner who always posts one more job does not delay an owner who posted many", async () => {
  await postMany("ann", 10);
  await post("bob");
  const order = await runs(16, () => post("bob"));
  expect(order.filter((owner) => owner === "ann")).toHaveLength(8);
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

test("a job that is given back because its data are missing lets its owner's other jobs go first", async () => {
  const [first, second, third] = [await post("ann"), await post("ann"), await post("ann")].sort();
  const turnOf = { owner: "ann", turn: 1 };
  const back = { type: "requeued" as const, message: "No data.", step: null, data: null };
  const lease = await acquire(store, first, { turnOf });
  await lease.release(back, [], true);
  expect((await acquire(store, second, { turnOf })).jobId).toBe(second);
  expect((await acquire(store, first, { turnOf })).jobId).toBe(third);
  const again = await acquire(store, third, { turnOf });
  expect(again.jobId).toBe(first);
  // If it is given back for another reason, it is the first again.
  await again.release(back);
  const later = await post("ann");
  expect((await acquire(store, later, { turnOf })).jobId).toBe(first);
});

test("two workers that get two jobs of one owner at once take both", async () => {
  const [first, second] = [await post("ann"), await post("ann")].sort();
  const swapped = await acquire(store, second, { turnOf: { owner: "ann", turn: 1 } });
  expect(swapped.jobId).toBe(first);
  expect((await acquire(store, first, { turnOf: { owner: "ann", turn: 1 } })).jobId).toBe(second);
  expect((await tryAcquire(store, first, { turnOf: { owner: "ann", turn: 1 } })).outcome).toBe("busy");
});

test("a job that took another job's turn did not use up its own", async () => {
  await postMany("ann", 50);
  await redis.zadd("{rappel}:owner:ann:waiting", -5, await post("ann"));
  const order = await runs(4, async (nth) => nth === 1 && (await post("bob")));
  expect(order).toEqual(["ann", "ann", "bob", "ann"]);
});

test("turns begin again at 1 when nobody waits", async () => {
  await postMany("ann", 30);
  await runs(30);
  expect(await redis.get("{rappel}:turn")).toBe("30");
  const created = await store.jobs.create(newJob({ owner: "ann" }));
  expect(created).toMatchObject({ turn: 1 });
});

test("an owner who cancels waiting jobs does not wait for their turns", async () => {
  await postMany("ann", 5);
  const { data } = await store.jobs.list("ann", { limit: 100 });
  for (const { id } of data.slice(0, 4)) await store.jobs.cancel("ann", id);
  expect(await store.jobs.create(newJob({ owner: "ann" }))).toMatchObject({ turn: 2 });
});

test("a job that is given back goes first", async () => {
  const id = await post("ann");
  await postMany("bob", 3);
  const lease = await acquire(store, id);
  await lease.release({ type: "requeued", message: "Back.", step: null, data: null });
  expect(await runs(1)).toEqual(["ann"]);
});

test("a turn beyond the highest priority of BullMQ comes last", async () => {
  await redis.zadd("{rappel}:waiting", 1, "somebody");
  await redis.set("{rappel}:turn", 5_000_000);
  await post("ann");
  await post("bob");
  expect(await runs(2)).toEqual(["ann", "bob"]);
});

test("no more jobs of one owner run than the limit allows; a job that a new run takes over counts once", async () => {
  await store.limitOwners({ waiting: null, running: 2, dataset_bytes: null, checkpoint_bytes: null });
  const ids = [await post("ann"), await post("ann"), await post("ann")];
  const [first] = [await acquire(store, ids[0]), await acquire(store, ids[1])];
  expect(await tryAcquire(store, ids[2])).toEqual({ outcome: "busy", waitMs: 1000 });
  await acquire(store, await post("bob"));
  await redis.hdel(`{rappel}:owner:ann:job:${ids[1]}`, "lease_expires_at");
  expect((await tryAcquire(store, ids[1])).outcome).toBe("taken");
  await first.finish({ status: "cancelled", progress: null, events: [] }, []);
  expect((await tryAcquire(store, ids[2])).outcome).toBe("taken");
});

test("the more jobs of an owner wait for the limit, the less often each of them asks", async () => {
  await store.limitOwners({ waiting: null, running: 1, dataset_bytes: null, checkpoint_bytes: null });
  await acquire(store, await post("ann"));
  const waiting = await post("ann");
  await postMany("ann", 49);
  const busy = { outcome: "busy", waitMs: 1000 };
  expect(await tryAcquire(store, waiting)).toEqual(busy);
  await postMany("ann", 1);
  expect(await tryAcquire(store, waiting)).toEqual({ ...busy, waitMs: 1020 });
});

test("a run that was asked to stop counts as running until it has stopped", async () => {
  await store.limitOwners({ waiting: null, running: 2, dataset_bytes: null, checkpoint_bytes: null });
  const ids = [await post("ann"), await post("ann"), await post("ann")];
  const [pausing, cancelling] = [await acquire(store, ids[0]), await acquire(store, ids[1])];
  await store.jobs.pause("ann", ids[0]);
  await store.jobs.cancel("ann", ids[1]);
  expect((await tryAcquire(store, ids[2])).outcome).toBe("busy");
  await cancelling.finish({ status: "cancelled", progress: null, events: [] }, []);
  const other = await post("ann");
  expect((await tryAcquire(store, ids[2])).outcome).toBe("taken");
  expect((await tryAcquire(store, other)).outcome).toBe("busy");
  await pausing.release({ type: "requeued", message: "Back.", step: null, data: null });
  expect((await tryAcquire(store, other)).outcome).toBe("taken");
});
