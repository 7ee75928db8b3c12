// A worker in this process, whose connections and clock a test may disturb.
import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Control } from "../../src/queue/control.ts";
import { Store } from "../../src/store/store.ts";
import { TrainingWorker } from "../../src/worker/worker.ts";
import { retrying } from "../../src/retries.ts";
import { connected } from "../store/support.ts";
import { ended, longSpec, openPlace, type Place } from "./support.ts";

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
  const id = await place.post();
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("delivery");
  await connection.connect();
  expect(await place.until(id, ended)).toMatchObject({ status: "succeeded", run: 1 });
  expect(retrying().map(({ loop }) => loop)).not.toContain("delivery");
});

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
