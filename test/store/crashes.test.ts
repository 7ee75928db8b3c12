// Runs that die: which of them count against the job (src/store/lua/shared/begin.lua).
import { expect, test } from "vitest";
import { acquire, checkpoint, eventTypes, lapse, OWNER, postJob, progressAt, tryAcquire } from "./support.ts";
import { redis, server, setUpStore, store } from "./setup.ts";

setUpStore();

const requeued = { type: "requeued", message: "The worker shut down.", step: 5, data: null } as const;

test("after the first death the job runs alone; the fifth at the same checkpoint fails it", async () => {
  const id = await postJob(store);
  await acquire(store, id);
  for (let crashes = 1; crashes < 5; crashes++) {
    await lapse(redis, id);
    expect((await tryAcquire(store, id, { idle: false })).outcome).toBe("alone");
    expect(await tryAcquire(store, id)).toMatchObject({ outcome: "taken", alone: true });
  }
  await lapse(redis, id);
  expect((await tryAcquire(store, id, { idle: false })).outcome).toBe("gone");
  expect(await store.jobs.get(OWNER, id)).toMatchObject({
    status: "failed",
    run: 5,
    error: { code: "crash_loop", step: null, suggestion: expect.stringContaining("memory") },
  });
  const types = await eventTypes(store, id);
  expect(types.filter((type) => type === "lease_lost")).toHaveLength(5);
  expect(types.at(-1)).toBe("failed");
});

test("each new checkpoint resets the count of crashes", async () => {
  const id = await postJob(store);
  for (let i = 1; i <= 12; i++) {
    const lease = await acquire(store, id);
    if (i % 4 === 0) await checkpoint(lease, i);
    await lapse(redis, id);
  }
  expect(await store.jobs.get(OWNER, id)).toMatchObject({ status: "running", run: 12 });
});

test("a death is not counted if the process ran other jobs too, but the job runs alone then", async () => {
  const id = await postJob(store);
  for (let i = 1; i <= 7; i++) {
    const lease = await acquire(store, id);
    await lease.renew(5000, "shared");
    await lapse(redis, id);
    expect((await tryAcquire(store, id, { idle: false })).outcome).toBe("alone");
  }
  expect(await store.jobs.get(OWNER, id)).toMatchObject({ status: "running", run: 7 });
});

test("five deaths of processes that were told to end are no crash loop, and the job need not run alone", async () => {
  const id = await postJob(store);
  for (let i = 1; i <= 7; i++) {
    const lease = await acquire(store, id, { idle: false });
    await lease.renew(5000, "none");
    await lapse(redis, id);
  }
  expect(await tryAcquire(store, id, { idle: false })).toMatchObject({ outcome: "taken", alone: false });
});

test("a run that comes back after Redis was away takes back its crash, once", async () => {
  const id = await postJob(store);
  const crashes = () => redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "crashes");
  const first = await acquire(store, id);
  await lapse(redis, id);
  const second = await acquire(store, id);
  await lapse(redis, id);
  await acquire(store, id);
  expect(await crashes()).toBe("2");
  await first.retractCrash();
  expect(await crashes()).toBe("2");
  await second.retractCrash();
  await second.retractCrash();
  expect(await crashes()).toBe("1");
});

test("a run whose death was not counted takes back nothing", async () => {
  const id = await postJob(store);
  await acquire(store, id);
  await lapse(redis, id);
  const shared = await acquire(store, id);
  await shared.renew(5000, "shared");
  await lapse(redis, id);
  await acquire(store, id);
  await shared.retractCrash();
  expect(await redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "crashes")).toBe("1");
});

test("a release resets the count of crashes", async () => {
  const id = await postJob(store);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 4; i++) {
      await acquire(store, id);
      await lapse(redis, id);
    }
    const lease = await acquire(store, id);
    await lease.release(requeued);
    expect(await tryAcquire(store, id, { idle: false })).toMatchObject({ outcome: "taken", alone: false });
    await lapse(redis, id);
  }
  expect(await store.jobs.get(OWNER, id)).toMatchObject({ status: "running", error: null });
});

test("the error of a crash loop depends on how far its runs came", async () => {
  const words = async (step: number | null) => {
    const id = await postJob(store);
    for (let i = 0; i < 5; i++) {
      const lease = await acquire(store, id);
      if (step !== null) await lease.report(1, progressAt(step), [], []);
      await lapse(redis, id);
    }
    await tryAcquire(store, id);
    return (await store.jobs.get(OWNER, id))!.error!;
  };
  expect(await words(null)).toMatchObject({
    code: "crash_loop",
    message: "5 runs in a row died before their first step was done.",
    suggestion: expect.stringContaining("batch_size"),
  });
  expect((await words(7)).message).toBe("5 runs in a row died at the same point, the last one after step 7.");
  const late = await words(100);
  expect(late.message).toBe("5 runs in a row died after the last step, before the result was stored.");
  expect(late.suggestion).not.toContain("memory");
});

test("a lease that lapsed while Redis restarted is no crash", async () => {
  const id = await postJob(store);
  await acquire(store, id, { leaseMs: 1500 });
  // Redis tells its age in whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await server.restart();
  await expect
    .poll(() => tryAcquire(store, id, { idle: false, leaseMs: 1500 }).catch(() => null), { timeout: 10_000 })
    .toMatchObject({ outcome: "taken", alone: false });
  const crashes = () => redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "crashes").catch(() => "away");
  await expect.poll(crashes, { timeout: 10_000 }).toBe("0");
});
