import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { pino } from "pino";
import { DatasetCache } from "../../src/data/files/cache.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { readFrom, type Sources } from "../../src/runner/prepare.ts";
import { Run } from "../../src/runner/run.ts";
import { Threads } from "../../src/runner/threads.ts";
import { untraced } from "../../src/runner/trace.ts";
import { Unavailable } from "../../src/store/errors.ts";
import { acquire, eventTypes, OWNER } from "../store/support.ts";
import { ended, LEASE_MS, longSpec, openPlace, type Place, type WorkerProcess } from "./support.ts";

/** How runs end if something goes wrong, and what that means for the next job. */

let place: Place;
beforeEach(async () => {
  place = await openPlace();
});
afterEach(() => place.close());

const long = longSpec(30_000);
const record = (id: string) => `{rappel}:owner:${OWNER}:job:${id}`;
const said = (worker: WorkerProcess, msg: string) =>
  expect.poll(() => worker.log, { timeout: 20_000 }).toContainEqual(expect.objectContaining({ msg }));

test("a permanent refusal of Redis fails the job as internal and is logged, and the next job runs", async () => {
  const worker = await place.startWorker();
  const id = await place.post(long);
  await place.until(id, (job) => job.progress.step > 0);
  await place.redis.set(`${record(id)}:rows`, "no rows");
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "failed", run: 1, error: { code: "internal" } });
  expect(job.error!.message).toContain("WRONGTYPE");
  expect((await eventTypes(place.store, id)).at(-1)).toBe("failed");
  expect(worker.log).toContainEqual(expect.objectContaining({ msg: "job failed", job_id: id }));
  expect(await place.until(await place.post(), ended)).toMatchObject({ status: "succeeded" });
});

/** A run in this process. */
async function runOf(id: string, threads: Threads, sources: Partial<Sources> = {}): Promise<Run> {
  const { store, files } = place;
  const leaseMs = 60_000;
  const lease = await acquire(store, id, { arithmeticVersion: ARITHMETIC_VERSION, leaseMs });
  return new Run(lease, {
    store,
    cache: null,
    readData: readFrom({ store, files, cache: null, ...sources }),
    leaseMs,
    threads,
    log: pino({ level: "silent" }),
    trace: () => untraced,
    alone: () => true,
    committed: () => {},
  });
}

test("a job is cancelled even if the call that stores its result does not return", async () => {
  const id = await place.post();
  const threads = new Threads(2);
  const run = await runOf(id, threads);
  const { lease } = run;
  const { promise: storing, resolve } = Promise.withResolvers<void>();
  const finish = lease.finish.bind(lease);
  lease.finish = async (ending, rows) => {
    if (ending.status !== "succeeded") return await finish(ending, rows);
    resolve();
    return await new Promise(() => {});
  };
  const end = run.execute();
  await storing;
  await place.store.jobs.cancel(OWNER, id);
  run.checkStatus();
  expect(await end).toBe("ended");
  expect(await place.get(id)).toMatchObject({ status: "cancelled", progress: { progress: 1 } });
  expect(threads.busy).toBe(0);
});

test("a run that has done its steps but does not end counts as standing still", async () => {
  const id = await place.post();
  const run = await runOf(id, new Threads(1));
  const { promise: storing, resolve } = Promise.withResolvers<void>();
  const finish = run.lease.finish.bind(run.lease);
  run.lease.finish = async (ending, rows) => {
    if (ending.status !== "succeeded") return await finish(ending, rows);
    resolve();
    return await new Promise(() => {});
  };
  const end = run.execute();
  await storing;
  const assertMovingIn = (seconds: number) => {
    const now = performance.now();
    const clock = vi.spyOn(performance, "now").mockReturnValue(now + seconds * 1000);
    try {
      run.assertMoving();
    } finally {
      clock.mockRestore();
    }
  };
  assertMovingIn(60);
  expect(() => assertMovingIn(150)).toThrow(new RegExp(`^the ending of ${id} has stood still for \\d+ seconds$`));
  await place.store.jobs.cancel(OWNER, id);
  run.checkStatus();
  expect(await end).toBe("ended");
});

test("a request that comes just before a run gets its crew is obeyed", async () => {
  const id = await place.post(long);
  // The request comes when the preparation is done and the run takes its threads.
  class Observed extends Threads {
    override take(wanted: number): number {
      run.onStatus("pausing");
      return super.take(wanted);
    }
  }
  const run = await runOf(id, new Observed(1));
  await place.store.jobs.pause(OWNER, id);
  expect(await run.execute()).toBe("ended");
  expect(await place.get(id)).toMatchObject({ status: "paused" });
});

test("a run that hears that Redis is away just before it has its crew holds until Redis is back", async () => {
  const id = await place.post();
  class Observed extends Threads {
    override take(wanted: number): number {
      run.lease.renew = () => Promise.reject(new Unavailable("Redis is away"));
      run.checkStatus();
      return super.take(wanted);
    }
  }
  const run = await runOf(id, new Observed(1));
  const renew = run.lease.renew.bind(run.lease);
  const end = run.execute();
  // If it did not hold, it would have ended long before.
  expect(await Promise.race([end, sleep(3000, "holds")])).toBe("holds");
  run.lease.renew = renew;
  run.checkStatus();
  expect(await end).toBe("ended");
  expect(await place.get(id)).toMatchObject({ status: "succeeded", run: 1 });
});

test("after a process is told to end, its death is no crash", async () => {
  const id = await place.post(long);
  const run = await runOf(id, new Threads(1));
  const end = run.execute();
  await place.until(id, (job) => job.progress.step > 0);
  expect(await place.redis.hget(record(id), "blame")).toBe("own");
  // The next regular renewal would be in 15 seconds.
  run.shutdown();
  expect(await end).toBe("released");
  expect(await place.redis.hget(record(id), "blame")).toBe("none");
});

test.each([
  [64 * 2 ** 20, ["checkpoint_committed", "requeued"]],
  [64 * 2 ** 20 + 1, ["requeued"]],
])("at an end of the process, a job whose state has %d bytes is given back with %j", async (bytes, reported) => {
  const id = await place.post({ ...long, checkpoint: { every_seconds: null } });
  // The rest of the record, and the state itself, are those of a small job.
  await place.redis.hset(record(id), "state_bytes", bytes);
  const run = await runOf(id, new Threads(1));
  const end = run.execute();
  await place.until(id, (job) => job.progress.step > 0);
  run.shutdown();
  expect(await end).toBe("released");
  const types = await eventTypes(place.store, id);
  expect(types.filter((type) => ["checkpoint_committed", "requeued"].includes(type))).toEqual(reported);
});

test("a job whose data cannot be read waits for some seconds, and then goes behind its owner's other jobs", async () => {
  const [id, other] = [await place.post({ resources: { priority: 10 } }), await place.post()];
  const waiting = () => place.redis.zrange(`{rappel}:owner:${OWNER}:waiting`, "0", "-1");
  const elsewhere = mkdtempSync(join(tmpdir(), "rappel-elsewhere-"));
  onTestFinished(() => rmSync(elsewhere, { recursive: true }));
  const cache = new DatasetCache(join(elsewhere, "cache"), {
    apiUrl: "http://127.0.0.1:1",
    authorize: async () => "Bearer ticket",
    maxBytes: 0,
    log: pino({ level: "silent" }),
    backoffMs: 1,
  });
  await cache.prepare();
  const run = await runOf(id, new Threads(1), { cache, files: new DatasetFiles(elsewhere) });
  expect(await run.execute()).toBe("postponed");
  expect(await waiting()).toEqual([other]);
  await place.redis.zadd("{rappel}:due", 0, record(id));
  await place.store.upkeep.sweep();
  expect(await waiting()).toEqual([other, id]);
});

test("a job that lost its worker shares the next one after it has passed that point", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "after-claim" });
  const crashed = await place.post(long);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker({ JOBS: "2" });
  await place.until(crashed, (job) => job.run === 2);
  const other = await place.post();
  expect(await place.until(other, ended, 60_000)).toMatchObject({ status: "succeeded" });
  expect(await place.get(crashed)).toMatchObject({ status: "running", run: 2 });
  expect(await eventTypes(place.store, crashed)).toContain("checkpoint_committed");
});

test("after a job that ran alone has ended without a checkpoint, the next one may run", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "after-claim" });
  const crashed = await place.post({ checkpoint: { every_seconds: null } });
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  expect(await place.until(crashed, ended, 60_000)).toMatchObject({ status: "succeeded", run: 2 });
  expect(await place.until(await place.post(), ended, 30_000)).toMatchObject({ status: "succeeded" });
});

test("a job that is given back goes before waiting jobs, and wakes the next worker at once", async () => {
  const worker = await place.startWorker();
  const id = await place.post(long);
  await place.until(id, (job) => job.progress.step > 0);
  const waiting = await place.post();
  worker.kill("SIGTERM");
  await worker.exited;
  expect(await place.redis.llen("{rappel}:deliveries:wait")).toBeGreaterThan(0);
  await place.startWorker();
  await place.until(id, (job) => job.run === 2);
  expect(await place.get(waiting)).toMatchObject({ status: "queued", run: 0 });
});

test("a job that does not stop in time is given back at once, and that is no crash", async () => {
  const worker = await place.startWorker({ SHUTDOWN_MS: "0" });
  const id = await place.post(long);
  await place.until(id, (job) => job.progress.last_checkpoint_step !== null);
  worker.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
  expect(worker.log).toContainEqual(expect.objectContaining({ msg: "not all jobs stopped in time" }));
  expect(await place.get(id)).toMatchObject({ status: "queued", run: 1 });
  await place.startWorker({ JOBS: "2" });
  await place.until(id, (job) => job.run === 2 && job.progress.step > 0);
  expect(await eventTypes(place.store, id)).not.toContain("lease_lost");
  expect(await place.redis.hget(record(id), "crashes")).toBeNull();
});

test("Redis hangs and answers again: the run holds, goes on, and does not count as dead", async () => {
  const worker = await place.startWorker();
  const id = await place.post(longSpec(60));
  await place.until(id, (job) => job.progress.step > 0);
  place.server.kill("SIGSTOP");
  await said(worker, "Redis is away: holding");
  await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
  place.server.kill("SIGCONT");
  expect(await place.until(id, ended, 60_000)).toMatchObject({ status: "succeeded", run: 1 });
});

test("a job gives its threads back however it ends", async () => {
  await place.startWorker({ THREADS: "2" });
  const busy = async () => (await place.store.overview.workers()).map(({ threads }) => threads.busy);
  const resources = { threads: 2 };
  const cancelled = await place.post({ ...long, resources });
  await place.until(cancelled, (job) => job.progress.step > 0);
  await expect.poll(busy, { timeout: 10_000 }).toEqual([2]);
  await place.store.jobs.cancel(OWNER, cancelled);
  const diverges = await place.post({ resources, optimizer: { type: "sgd", lr: 1e30 } });
  const succeeds = await place.post({ resources });
  expect(await place.until(cancelled, ended)).toMatchObject({ status: "cancelled" });
  expect(await place.until(diverges, ended)).toMatchObject({ status: "failed" });
  expect(await place.until(succeeds, ended)).toMatchObject({ status: "succeeded" });
  await expect.poll(busy, { timeout: 10_000 }).toEqual([0]);
});
