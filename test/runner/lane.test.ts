/** A lane as its worker sees it. Which jobs run in lanes, and how: test/worker/lane.test.ts. */
import { Readable } from "node:stream";
import { pino } from "pino";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { MemoryShortage } from "../../src/engine/crew/shortage.ts";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { meters } from "../../src/meters.ts";
import { retrying } from "../../src/retries.ts";
import { HeldJobs } from "../../src/runner/held-jobs.ts";
import { isSmall, Lane, LaneRun, type LaneOptions } from "../../src/runner/lane.ts";
import { IdleLanes } from "../../src/runner/lanes.ts";
import { SetTables } from "../../src/runner/set-tables.ts";
import { Threads } from "../../src/runner/threads.ts";
import type { RunTrace } from "../../src/runner/trace.ts";
import { keys } from "../../src/store/keys.ts";
import type { Taken } from "../../src/store/taken.ts";
import { eventTypes, OWNER } from "../store/support.ts";
import { ended, LEASE_MS, longSpec, openPlace, type Place } from "../worker/support.ts";

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});
afterAll(() => place.close());

const threads = new Threads(2);
function openLane(program?: URL, changes: Partial<LaneOptions> = {}): Lane {
  const { store, files, server } = place;
  const runs = new Int32Array(new SharedArrayBuffer(4));
  const log = pino({ level: "silent" });
  const tables = new SetTables({ store, files, cache: null });
  const options = { store, files, cache: null, tables, redisUrl: server.url, leaseMs: LEASE_MS, threads, log, runs };
  const lane = new Lane({ ...options, ...changes }, program);
  onTestFinished(() => lane.close(new Error("the test is over")));
  return lane;
}

/** Posts a job, and claims it. */
async function claimed(spec: Record<string, unknown>): Promise<Taken> {
  const id = await place.post(spec);
  await place.redis.hset(`{rappel}:owner:${OWNER}:job:${id}`, "work_ms", 1);
  const room = { leaseMs: LEASE_MS, idle: true, memoryLeft: 0, arithmeticVersion: ARITHMETIC_VERSION };
  const claim = await place.store.claim({ token: id, worker: "test", ...room });
  if (claim.outcome !== "taken") throw new Error(claim.outcome);
  return claim.first;
}

function runIn(lane: Lane, taken: Taken, calls: unknown[][] = []): LaneRun {
  const note =
    (name: string) =>
    (...args: unknown[]) =>
      void calls.push([name, ...args]);
  const trace: RunTrace = { enter: note("enter"), did: note("did"), failed: note("failed"), ended: note("ended") };
  return new LaneRun(lane, taken, new HeldJobs(), false, () => trace);
}

test("what a run in a lane tells meters and traces reaches those of the main thread", async () => {
  const job = await claimed({ checkpoint: { every_seconds: null } });
  expect(isSmall(job)).toBe(true);
  const calls: unknown[][] = [];
  const run = runIn(openLane(), job, calls);
  const steps = async () => (await meters.steps.get()).values[0]?.value ?? 0;
  const before = await steps();
  const began = Date.now();
  const end = run.execute();
  expect(threads.busy).toBe(1);
  expect(await end).toBe("ended");
  expect(threads.busy).toBe(0);
  expect(run.next).toBeNull();
  const { progress } = await place.get(run.lease.jobId);
  expect((await steps()) - before).toBe(progress.total_steps);
  expect(calls.filter(([name]) => name === "enter").map(([, stage]) => stage)).toEqual(["training", "ending"]);
  expect(calls.filter(([name]) => name === "did")).toHaveLength(40);
  for (const [, , at] of calls) {
    expect(at).toBeGreaterThanOrEqual(began);
    expect(at).toBeLessThanOrEqual(Date.now());
  }
});

test("a lane whose thread ends loses its job, and another run takes it", async () => {
  const lane = openLane();
  const run = runIn(lane, await claimed(longSpec(20)));
  const lost = expect(run.execute()).rejects.toThrow("the thread is killed");
  await place.until(run.lease.jobId, (job) => job.progress.step > 0);
  run.abandon(new Error("the thread is killed"));
  await lost;
  expect(lane.alive).toBe(false);
  await place.startWorker();
  expect(await place.until(run.lease.jobId, ended)).toMatchObject({ status: "succeeded", run: 2 });
  expect(await eventTypes(place.store, run.lease.jobId)).toContain("lease_lost");
  await place.killWorkers();
});

test("lanes are used again, until they are idle for long or there is no memory for a job", async () => {
  const idle = new IdleLanes({ ...place, cache: null }, () => openLane());
  const lanes = [idle.take(), idle.take(), idle.take()];
  idle.giveBack(lanes[0]);
  const between = performance.now();
  idle.giveBack(lanes[1]);
  idle.giveBack(lanes[2]);
  expect(idle.take()).toBe(lanes[2]);
  await idle.endIdle(between);
  expect(lanes.map(({ alive }) => alive)).toEqual([false, true, true]);
  await idle.giveUpMemory();
  expect(lanes.map(({ alive }) => alive)).toEqual([false, false, true]);
  expect(lanes).not.toContain(idle.take());
});

test("a job keeps its lease while the thread of its lane starts", async () => {
  const job = await claimed({});
  // It never starts.
  const lane = openLane(new URL("./sleeping-lane.ts", import.meta.url));
  const run = runIn(lane, job);
  const expiry = async () => Number(await place.redis.hget(keys.job(OWNER, run.lease.jobId), "lease_expires_at"));
  const first = await expiry();
  const lost = expect(run.execute()).rejects.toThrow("the test is over");
  await expect.poll(expiry, { timeout: 10_000 }).toBeGreaterThan(first);
  run.abandon(new Error("the test is over"));
  await lost;
});

test("a lane that stands still ends", async () => {
  const lane = openLane(new URL("./sleeping-lane.ts", import.meta.url));
  const run = runIn(lane, await claimed({}));
  const lost = expect(run.execute()).rejects.toThrow(/has stood still for 3\d\d\d seconds/);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const now = performance.now();
  const clock = vi.spyOn(performance, "now").mockReturnValue(now + 3_600_000);
  onTestFinished(() => clock.mockRestore());
  await lost;
  expect(lane.alive).toBe(false);
});

test("a job whose data there is no memory for is postponed", async () => {
  class FullFiles extends DatasetFiles {
    override use(): never {
      throw new MemoryShortage("no memory for the test");
    }
  }
  // Encoded data of the other tests may still be in memory.
  const dataset = await place.upload(Readable.from(["x,y\n1,2\n2,3\n3,4\n"]));
  const job = await claimed({ data: { dataset, target: "y" }, training: { epochs: 1, batch_size: "full" } });
  const run = runIn(openLane(undefined, { files: new FullFiles(place.directory) }), job);
  expect(await run.execute()).toBe("postponed");
  expect(await place.get(run.lease.jobId)).toMatchObject({ status: "queued", error: null });
});

test("loops of a lane that fail are listed as retrying until its thread ends", async () => {
  const lane = openLane(undefined, { redisUrl: "redis://127.0.0.1:1" });
  await expect.poll(retrying, { timeout: 30_000 }).toMatchObject([{ loop: "redis_connection", count: 1 }]);
  await lane.close(new Error("the thread is killed"));
  expect(retrying()).toEqual([]);
});
