/** Small jobs, which run in lanes: with the same outcome as other jobs, and as safe. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { keys } from "../../src/store/keys.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { eventTypes, lapse, metricRows, OWNER, steps } from "../store/support.ts";
import { ended, longSpec, openPlace, type Place } from "./support.ts";

let place: Place;
/** Of a job that takes longer than a small one may. */
let undisturbed: { job: Job; metrics: MetricRow[] };
const long = longSpec(200);

beforeAll(async () => {
  place = await openPlace();
  const id = await post(long, null);
  await place.startWorker();
  undisturbed = { job: await place.until(id, ended), metrics: await rows(id) };
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

const rows = async (id: string) => (await metricRows(place.store, OWNER, id))!;
const events = async (id: string) => (await place.store.jobs.events(OWNER, id, { limit: 10_000 }))!.data;

/** Posts a job before there is a worker. `workMs`: how long it seems to take; null: not known. */
async function post(spec: Record<string, unknown>, workMs: number | null): Promise<string> {
  const id = await place.post(spec);
  const record = `{rappel}:owner:${OWNER}:job:${id}`;
  if (workMs === null) await place.redis.hdel(record, "work_ms");
  else await place.redis.hset(record, "work_ms", workMs);
  return id;
}

/** Everything that can be known of a job, without its id and times. */
async function known(id: string) {
  const { store } = place;
  const { status, run, result, error, progress } = await place.until(id, ended);
  const { updated_at: _at, job_id: _id, samples_per_second: _speed, eta_seconds: _eta, ...last } = progress;
  const all = {
    job: { status, run, result, error, last },
    // The event of a checkpoint comes when it is written.
    told: (await events(id)).map(({ type, step, message, data }) => JSON.stringify([step, type, message, data])).sort(),
    metrics: await rows(id),
    description: error === null && (await store.jobs.description(OWNER, id)),
    diagnosis: await store.jobs.diagnosis(OWNER, id),
    evaluation: await store.jobs.evaluation(OWNER, id),
    steps: await steps(store, id),
  };
  return JSON.parse(JSON.stringify(all).replaceAll(id, "this job")) as unknown;
}

const none = { every_seconds: null, keep_best: true };
const training = { epochs: 20, batch_size: 32, seed: 3 };
test("a job in a lane has the outcome that it has elsewhere, to the last byte", async () => {
  const { dataset } = undisturbed.job.spec.data;
  const specs: Record<string, unknown>[] = [
    { checkpoint: none },
    {
      checkpoint: none,
      data: { dataset, target: "y", validation: { every: 5 }, test: { tail: 0.1 } },
      training: { ...training, early_stopping: { metric: "valid_loss", patience: 2 } },
    },
    { checkpoint: none, optimizer: { type: "adam", lr: 1e-6 }, detectors: { plateau: { policy: "stop" } } },
    { checkpoint: none, optimizer: { type: "sgd", lr: 1e30 }, training },
    { checkpoint: { ...none, at_start: true }, resources: { threads: 3 }, observe: { every_steps: 10 } },
    {
      checkpoint: none,
      optimizer: { type: "sgd", lr: 1e30 },
      detectors: { diverging: { policy: "rewind", rewind: { max: 3, lr_factor: 1e-31 } } },
    },
  ];
  const pairs: [string, string][] = [];
  for (const spec of specs) pairs.push([await post(spec, 1), await post(spec, null)]);
  await place.startWorker({ JOBS: "2" });
  for (const [small, other] of pairs) expect(await known(small)).toEqual(await known(other));
});

test("a job that takes longer than a second goes on as an ordinary one", async () => {
  const id = await post(long, 1);
  await place.startWorker();
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "succeeded", run: 2, result: undisturbed.job.result });
  expect(await rows(id)).toEqual(undisturbed.metrics);
  const requeued = (await events(id)).filter(({ type }) => type === "requeued");
  expect(requeued.map(({ message }) => message)).toEqual(["It takes longer than was estimated."]);
});

test("a job in a lane is cancelled at once", async () => {
  const id = await post(longSpec(30_000), 1);
  await place.startWorker();
  await place.until(id, (job) => job.status === "running");
  await place.store.jobs.cancel(OWNER, id);
  expect(await place.until(id, ended)).toMatchObject({ status: "cancelled", run: 1 });
});

test("a job in a lane is paused with its state, and goes on to the same bytes", async () => {
  const id = await post(long, 1);
  await place.startWorker();
  await place.until(id, (job) => job.progress.step > 0);
  await place.store.jobs.pause(OWNER, id);
  const paused = await place.until(id, (job) => job.status === "paused");
  expect(paused.progress.last_checkpoint_step).not.toBeNull();
  await place.store.jobs.resume(OWNER, id);
  await place.wakeUps.add();
  expect(await place.until(id, ended)).toMatchObject({ status: "succeeded", result: undisturbed.job.result });
  expect(await rows(id)).toEqual(undisturbed.metrics);
});

test("a process that is to end gives back the job in its lane, and those that were to follow", async () => {
  const id = await post(long, 1);
  const others: string[] = [];
  for (let i = 0; i < 6; i++) others.push(await post({ checkpoint: none, training }, 1));
  const worker = await place.startWorker();
  await place.until(id, (job) => job.status === "running");
  worker.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
  expect((await place.get(id)).status).toBe("queued");
  await place.startWorker();
  expect(await place.until(id, ended)).toMatchObject({ result: undisturbed.job.result });
  for (const other of others) {
    expect(await place.until(other, ended)).toMatchObject({ status: "succeeded", run: 1 });
    expect(await eventTypes(place.store, other)).not.toContain("lease_lost");
  }
});

test("a lane has its next jobs before it has none left", async () => {
  const ids: string[] = [];
  // A claim brings five. They train for longer than that, so that it is early enough to claim more.
  for (let i = 0; i < 16; i++) ids.push(await post({ checkpoint: none, training: { ...training, epochs: 200 } }, 10));
  await place.startWorker();
  const jobs = await Promise.all(ids.map((id) => place.until(id, ended)));
  jobs.sort((a, b) => a.started_at!.localeCompare(b.started_at!));
  // The script that ends a job begins the next.
  for (const [i, { started_at }] of jobs.slice(1).entries()) expect(started_at).toBe(jobs[i].finished_at);
  expect(jobs.map(({ status, run }) => [status, run])).toEqual(ids.map(() => ["succeeded", 1]));
});

test.each(["after-claim", "after-holding", "before-final-commit:3", "after-final-commit:3"])(
  "a process dies %s: only the job that ran counts a crash, and all end with the same bytes",
  async (at) => {
    const ids: string[] = [];
    for (let i = 0; i < 9; i++) ids.push(await post({ checkpoint: none, training }, 10));
    const dying = await place.startWorker({ RAPPEL_CRASH_AT: at });
    expect(await dying.exited).toBe("SIGKILL");
    await place.startWorker();
    const jobs = await Promise.all(ids.map((id) => place.until(id, ended)));
    expect(new Set(jobs.map(({ result }) => result!.weights_sha256)).size).toBe(1);
    expect(jobs.filter(({ run }) => run > 1)).toHaveLength(1);
    const lost = await Promise.all(ids.map((id) => eventTypes(place.store, id)));
    expect(lost.filter((types) => types.includes("lease_lost"))).toHaveLength(1);
  },
);

test("a job whose last run died waits until the lane has ended its batch, and runs alone", async () => {
  const suspect = await post({ checkpoint: none, training }, null);
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "after-claim" });
  expect(await dying.exited).toBe("SIGKILL");
  // Its lease lapses when the others have begun.
  const record = keys.job(OWNER, suspect);
  await place.redis.hset(record, "lease_expires_at", Date.now() + 3_600_000);
  const others: string[] = [];
  for (let i = 0; i < 16; i++) others.push(await post({ checkpoint: none, training }, 1));
  await place.startWorker({ JOBS: "2" });
  await place.until(others.toSorted()[0], (job) => job.status !== "queued");
  await lapse(place.redis, suspect);
  await place.redis.zadd("{rappel}:begun", 0, record);
  await place.wakeUps.add();
  await place.until(suspect, ended);
  const resumed = (await events(suspect)).find(({ type }) => type === "resumed")!;
  const beside: string[] = [];
  for (const other of others) {
    const { started_at, finished_at } = await place.until(other, ended);
    if (started_at! < resumed.created_at && resumed.created_at < finished_at!) beside.push(other);
  }
  expect(beside).toEqual([]);
});
