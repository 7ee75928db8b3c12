// What else can happen to a run: it is cancelled, it diverges, its process is told to end, stands
// still or loses Redis.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { acquire, eventTypes, lapse, metricRows, OWNER, steps } from "../store/support.ts";
import { ended, LEASE_MS, longSpec, openPlace, type Place } from "./support.ts";

let place: Place;
let undisturbed: { job: Job; metrics: MetricRow[] };

/** A job of about four seconds. */
const spec = longSpec(120);

async function outcome(id: string) {
  const job = await place.until(id, ended, 60_000);
  return { job, metrics: (await metricRows(place.store, OWNER, id))! };
}

async function expectUndisturbed(id: string): Promise<Job> {
  const { job, metrics } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undisturbed.job.result });
  expect(metrics).toEqual(undisturbed.metrics);
  return job;
}

beforeAll(async () => {
  place = await openPlace({ appendfsync: "everysec" });
  await place.startWorker();
  undisturbed = await outcome(await place.post(spec));
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

test("a running job is cancelled at once if its run gets the message, else at the next renewal", async () => {
  for (const reported of [true, false]) {
    // The lease of the run that gets the message is renewed only long after the job would have
    // ended.
    await place.startWorker(reported ? { LEASE_MS: "60000" } : {});
    const id = await place.post(spec);
    await place.until(id, (job) => job.progress.step > 20);
    if (reported) await place.store.jobs.cancel(OWNER, id);
    else await cancelUnnoticed(id);
    const job = await place.until(id, ended);
    await place.killWorkers();
    await place.forgetRoom();
    expect(job).toMatchObject({ status: "cancelled", result: null, error: null });
    const types = await eventTypes(place.store, id);
    expect(types).toContain("cancelling");
    expect(types.at(-1)).toBe("cancelled");
  }
});

/** Cancels as if the message had been lost. */
async function cancelUnnoticed(id: string): Promise<void> {
  const numbers = await place.redis.call("CLIENT", "LIST", "TYPE", "PUBSUB");
  for (const [, client] of String(numbers).matchAll(/\bid=(\d+)/g)) await place.redis.client("KILL", "ID", client);
  await place.store.jobs.cancel(OWNER, id);
}

test("a worker that is told to end gives its job back, and another continues it", async () => {
  const first = await place.startWorker();
  const id = await place.post(spec);
  await place.until(id, (job) => job.progress.step > 250);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const [newest] = (await place.store.jobs.checkpoints(OWNER, id, { limit: 1 }))!.data;
  expect(newest.kinds).toContain("shutdown");
  expect(await place.get(id)).toMatchObject({ status: "queued", run: 1 });
  expect((await eventTypes(place.store, id)).at(-1)).toBe("requeued");

  await place.startWorker();
  const resumed = await place.until(id, (job) => job.run === 2);
  expect(resumed.progress.last_checkpoint_step).toBe(newest.step);
  await expectUndisturbed(id);
});

test("a worker that stood still for longer than its lease finds its job taken, and does no harm", async () => {
  const zombie = await place.startWorker();
  const id = await place.post(spec);
  await place.until(id, (job) => (job.progress.last_checkpoint_step ?? 0) >= 200);
  zombie.kill("SIGSTOP");
  const heir = await place.startWorker();
  await place.until(id, (job) => job.run === 2);
  zombie.kill("SIGCONT");
  const job = await expectUndisturbed(id);
  expect(job.run).toBe(2);
  expect(await eventTypes(place.store, id)).toContain("lease_lost");
  expect(zombie.log).toContainEqual(expect.objectContaining({ msg: "run dropped" }));

  // Afterwards it works like any other.
  heir.kill("SIGKILL");
  await heir.exited;
  expect((await expectUndisturbed(await place.post(spec))).run).toBe(1);
});

test("Redis is killed and comes back: the run holds, goes on, and does not count as dead", async () => {
  const worker = await place.startWorker();
  const id = await place.post(spec);
  await place.until(id, (job) => job.progress.step > 300);
  place.server.kill();
  await expect
    .poll(() => worker.log, { timeout: 5000 })
    .toContainEqual(expect.objectContaining({ msg: "Redis is away: holding" }));
  await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
  await place.server.restart();
  const job = await expectUndisturbed(id);
  expect(job.run).toBe(1);
  // The wake-up that BullMQ counted as stalled meanwhile finds nothing.
  await expect.poll(wakeUps, { timeout: 30_000 }).toBe(0);
});

test("Redis is killed and comes back: an idle worker says that it takes jobs again", async () => {
  const worker = await place.startWorker({ QUIET_MS: "1000" });
  const said = (msg: string) => expect.objectContaining({ retry: "delivery", msg });
  place.server.kill();
  await expect
    .poll(() => worker.log, { timeout: 5000 })
    .toContainEqual(said("failed, trying again: taking a delivery from the queue"));
  await place.server.restart();
  await expect
    .poll(() => worker.log, { timeout: 10_000 })
    .toContainEqual(said("works again: taking a delivery from the queue"));
});

/** How many wake-ups are in the queue or with a worker. */
async function wakeUps(): Promise<number> {
  const { waiting, active } = await place.wakeUps.bull.getJobCounts("waiting", "active");
  return waiting + active;
}

test("a wake-up too many, or long after the end, does nothing", async () => {
  await place.startWorker({ JOBS: "2" });
  const id = await place.post(spec);
  await place.until(id, (job) => job.status === "running");
  await place.wakeUps.add();
  expect((await expectUndisturbed(id)).run).toBe(1);
  await place.wakeUps.add();
  await expect.poll(wakeUps, { timeout: 30_000 }).toBe(0);
  expect((await place.get(id)).run).toBe(1);
});

test("a job that diverges fails with a reason, and keeps its last good checkpoint", async () => {
  await place.startWorker();
  const id = await place.post({
    ...spec,
    optimizer: { type: "sgd", lr: 1e6 },
    training: { ...spec.training, clip_grad_norm: null },
    checkpoint: { every_steps: 1, every_seconds: null, keep_last: 2 },
  });
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "failed", error: { code: "diverged", step: expect.any(Number) } });
  expect(job.error!.suggestion).toMatch(/lr/);
  expect((await eventTypes(place.store, id)).slice(-2)).toEqual(["diverged", "failed"]);
  const kept = await steps(place.store, id);
  expect(kept).toHaveLength(1);
  expect(kept[0]).toBeLessThan(job.error!.step!);
});

test("if Redis is full, checkpoints fail and the run goes on", async () => {
  await place.startWorker();
  const id = await place.post(spec);
  await place.until(id, (job) => job.progress.step > 20);
  await place.redis.config("SET", "maxmemory", 1_000_000);
  await expect.poll(() => eventTypes(place.store, id), { timeout: 20_000 }).toContain("checkpoint_failed");
  expect((await place.get(id)).status).toBe("running");
  await place.redis.config("SET", "maxmemory", 256 * 1024 * 1024);
  await expectUndisturbed(id);
});

test("a job whose run died waits until it can run alone, and nothing new begins before it", async () => {
  const crashed = await place.post(spec);
  await acquire(place.store, crashed, { arithmeticVersion: ARITHMETIC_VERSION, leaseMs: 600_000 });
  await place.startWorker({ JOBS: "2" });
  const first = await place.post(spec);
  await place.until(first, (job) => job.status === "running");
  await lapse(place.redis, crashed);
  await expect.poll(() => place.redis.exists("{rappel}:alone"), { timeout: 10_000 }).toBe(1);
  const later = await place.post({ ...spec, training: { ...spec.training, epochs: 2 } });

  const finished = async (id: string) => Date.parse((await place.until(id, ended, 60_000)).finished_at!);
  const ends = [await finished(first), await finished(crashed), await finished(later)];
  const events = (await place.store.jobs.events(OWNER, crashed, { limit: 100 }))!.data;
  const firstOf = (type: string) => Date.parse(events.find((event) => event.type === type)!.created_at);
  expect(firstOf("resumed")).toBeGreaterThanOrEqual(ends[0]);
  // It has passed the point at which its run died when it has committed something.
  expect(Date.parse((await place.get(later)).started_at!)).toBeGreaterThanOrEqual(firstOf("checkpoint_committed"));
  await expectUndisturbed(crashed);
});
