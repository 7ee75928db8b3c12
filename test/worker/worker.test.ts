// A worker in this process, whose connections and clock a test may disturb.
import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Control } from "../../src/queue/control.ts";
import { Store } from "../../src/store/store.ts";
import { registry } from "../../src/meters.ts";
import { LaneRun } from "../../src/runner/lane.ts";
import { TrainingWorker } from "../../src/worker/worker.ts";
import { retrying } from "../../src/retries.ts";
import { connected } from "../store/support.ts";
import { ended, longSpec, openPlace, ways, type Place } from "./support.ts";

/** Even on a busy machine it trains for less than a second, so that a lane can end it. */
const short = {
  training: { epochs: 5, batch_size: 32, seed: 3 },
  checkpoint: { every_steps: 50, every_seconds: null },
};

let place: Place;
let worker: TrainingWorker;
/** The connection of the worker's store. */
let connection: Redis;
beforeAll(async () => {
  place = await openPlace();
  connection = await connected(place.server);
  const patient = { maxRetriesPerRequest: null };
  worker = new TrainingWorker({
    store: new Store(connection),
    files: place.files,
    cache: null,
    redis: place.server.client(patient),
    control: new Control(place.server.client(patient)),
    redisUrl: place.server.url,
    queue: place.wakeUps,
    log: pino({ level: "silent" }),
    leaseMs: 60_000,
    jobs: 2,
    memoryBytes: 2 ** 30,
    threads: 1,
  });
  await worker.ready();
});
afterAll(async () => {
  await worker.close(10_000, { broken: false });
  await place.close();
});

test("a worker that is woken while the record cannot be read asks again, and runs the job afterwards", async () => {
  connection.disconnect();
  const id = await place.post(short);
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("delivery");
  await connection.connect();
  expect(await place.until(id, ended)).toMatchObject({ status: "succeeded", run: 1 });
  expect(retrying().map(({ loop }) => loop)).not.toContain("delivery");
  // The worker counts a run after its end. The next test counts the runs that come after this one.
  await expect.poll(async () => (await counts())[RUNS], { timeout: 10_000 }).toBe(1);
});

test("a job counts the same in the metrics whichever way it is run", async () => {
  const inLane = vi.spyOn(LaneRun.prototype, "execute");
  const counted: Record<string, number>[] = [];
  const lanes: number[] = [];
  try {
    for (const way of ways) {
      const before = await counts();
      inLane.mockClear();
      await place.until(await place.post(short, way), ended);
      // The worker counts a run after its end.
      await expect.poll(async () => (await counts())[RUNS], { timeout: 10_000 }).toBe(before[RUNS] + 1);
      const after = await counts();
      counted.push(Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]])));
      lanes.push(inLane.mock.calls.length);
    }
  } finally {
    inLane.mockRestore();
  }
  expect(lanes).toEqual([1, 0]);
  expect(counted[0]).toEqual(counted[1]);
  expect(counted[0]).toMatchObject({
    [RUNS]: 1,
    rappel_queue_wait_seconds_count: 1,
    rappel_steps_total: 75,
    rappel_samples_total: 5 * 480,
    rappel_lease_losses_total: 0,
  });
  expect(counted[0].rappel_checkpoint_seconds_count).toBeGreaterThan(0);
});

const CHECKPOINT_BYTES = "rappel_checkpoint_bytes_total";
const RUNS = 'rappel_run_seconds_count{end="ended"}';

/** What the service has counted since its start. */
async function counts(): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split("\n");
  const counters = lines.map((line) => /^(rappel_\w+_(?:total|count)(?:\{.*\})?) (\S+)$/.exec(line));
  // A checkpoint holds times, whose texts differ in length.
  const exact = counters.filter((found) => found !== null).filter(([, name]) => name !== CHECKPOINT_BYTES);
  return Object.fromEntries(exact.map(([, name, count]) => [name, Number(count)]));
}

test("a worker is not alive if one of its runs stands still", async () => {
  const ids = [await place.post(longSpec(30_000)), await place.post(longSpec(30_000))];
  for (const id of ids) await place.until(id, (job) => job.progress.step > 0);
  worker.assertMoving();
  const now = performance.now();
  const clock = vi.spyOn(performance, "now").mockReturnValue(now + 3_600_000);
  try {
    expect(() => worker.assertMoving()).toThrow(/^the crew of job_\w+ has stood still for \d+ seconds$/);
  } finally {
    clock.mockRestore();
  }
});
