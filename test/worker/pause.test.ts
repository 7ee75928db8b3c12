// Pauses and resumes at any time, and which of the waiting jobs comes first.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { eventTypes, metricRows, OWNER } from "../store/support.ts";
import { ended, LEASE_MS, longSpec, openPlace, ways, waysTaken, type Place } from "./support.ts";

let place: Place;
let undisturbed: { job: Job; metrics: MetricRow[] };

/** A job of about two seconds. */
const spec = longSpec(60);
const totalSteps = 900;

beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  undisturbed = await outcome(await place.post(spec));
  await place.killWorkers();
  // The comparison should include every kind of curve.
  const curves = undisturbed.metrics.flatMap((row) => Object.keys(row));
  expect([...new Set(curves)].sort()).toEqual([
    "grad_norm",
    "learning_rate",
    "step",
    "train_loss",
    "valid_accuracy",
    "valid_auc",
    "valid_log_loss",
    "valid_loss",
    "valid_macro_f1",
    "valid_perplexity",
    "valid_precision",
    "valid_recall",
  ]);
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

async function outcome(id: string) {
  const job = await place.until(id, ended);
  return { job, metrics: (await metricRows(place.store, OWNER, id))! };
}

async function expectUndisturbed(id: string): Promise<void> {
  const { job, metrics } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undisturbed.job.result });
  expect(metrics).toEqual(undisturbed.metrics);
}

/** What `POST …/resume` does. */
async function resume(id: string): Promise<void> {
  const resumed = (await place.store.jobs.resume(OWNER, id))!;
  // A worker that is awake may run it at once.
  expect(resumed).toMatchObject({ outcome: "queued", record: { status: expect.stringMatching(/^(queued|running)$/) } });
  if (resumed.wake) await place.wakeUps.add();
}

test("a job that is paused and resumed at random steps ends the same as without pauses", async () => {
  const id = await place.post(spec);
  await place.startWorker();
  let pauses = 0;
  while (pauses < 4) {
    const run = pauses + 1;
    const from = (await place.get(id)).progress.step;
    await place.until(id, (job) => ended(job) || (job.run === run && job.progress.step > from));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
    const pausing = (await place.store.jobs.pause(OWNER, id))!;
    // A fast machine may finish before.
    if (pausing.outcome === "wrong_status") break;
    expect(pausing).toMatchObject({ outcome: "pausing", record: { status: "pausing" } });
    const paused = await place.until(id, (job) => job.status === "paused" || ended(job));
    if (ended(paused)) break;
    const [newest] = (await place.store.jobs.checkpoints(OWNER, id, { limit: 1 }))!.data;
    expect(paused.progress).toMatchObject({ step: newest.step, last_checkpoint_step: newest.step, eta_seconds: null });
    // No worker runs it meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 1.2 * LEASE_MS));
    expect(await place.get(id)).toMatchObject({ status: "paused", run });
    await resume(id);
    pauses++;
  }
  expect(pauses).toBeGreaterThan(1);
  await expectUndisturbed(id);
  const types = (await eventTypes(place.store, id)).filter((type) => /paus|queued|resumed|started/.test(type));
  const pause = ["pausing", "paused", "requeued", "resumed"];
  const reported = ["started", ...Array.from({ length: pauses }, () => pause).flat()];
  expect(types.slice(0, reported.length)).toEqual(reported);
});

test("a pause neither loses nor repeats an event", async () => {
  const id = await place.post({ ...spec, training: { ...spec.training, eval_every_epochs: 1 } });
  await place.startWorker();
  await place.until(id, (job) => job.progress.step > 300);
  await place.store.jobs.pause(OWNER, id);
  await place.until(id, (job) => job.status === "paused");
  await resume(id);
  await place.until(id, ended);
  const events = (await place.store.jobs.events(OWNER, id, { limit: 1000 }))!.data;
  const evaluated = events.filter(({ type }) => type === "evaluated").map(({ step }) => step);
  expect(evaluated).toEqual(Array.from({ length: 60 }, (_, i) => (i + 1) * 15));
});

test("findings from before a pause are in the diagnosis after it", async () => {
  const slowLearning = { optimizer: { type: "adam", lr: 1e-6 }, observe: { every_steps: 10, per_layer: true } };
  const id = await place.post({ ...spec, ...slowLearning });
  await place.startWorker();
  const findings = async () => (await place.store.jobs.diagnosis(OWNER, id))!.findings;
  await expect.poll(findings, { timeout: 20_000 }).not.toEqual([]);
  await place.store.jobs.pause(OWNER, id);
  await place.until(id, (job) => job.status === "paused");
  const before = await findings();
  await resume(id);
  await place.until(id, ended);
  expect((await findings()).slice(0, before.length)).toEqual(before);
});

test("a pause near the end may come too late, and changes nothing in any case", async () => {
  await place.startWorker();
  for (let i = 0; i < 3; i++) {
    const id = await place.post(spec);
    await place.until(id, (job) => job.progress.step > totalSteps - 120);
    await new Promise((resolve) => setTimeout(resolve, i * 50));
    await place.store.jobs.pause(OWNER, id);
    const { status } = await place.until(id, (job) => job.status === "paused" || ended(job));
    if (status === "paused") await resume(id);
    await expectUndisturbed(id);
  }
});

test.each(ways)("a worker dies while it pauses: the job is paused nevertheless (%s)", async (way) => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "during-release" });
  const id = await place.post(spec, way);
  await place.until(id, (job) => job.progress.step > 0);
  await place.store.jobs.pause(OWNER, id);
  expect(await dying.exited).toBe("SIGKILL");
  expect(waysTaken(dying, id)).toEqual([way]);
  await place.startWorker();
  await place.until(id, (job) => job.status === "paused");
  expect((await eventTypes(place.store, id)).at(-1)).toBe("paused");
  await resume(id);
  await expectUndisturbed(id);
});

test("a job that is pausing can be cancelled, and a worker that ends leaves it paused", async () => {
  const slow = { ...spec, training: { ...spec.training, batch_size: "full" } };
  const worker = await place.startWorker();
  const id = await place.post(slow);
  await place.until(id, (job) => job.progress.step > 5);
  await place.store.jobs.pause(OWNER, id);
  await place.store.jobs.cancel(OWNER, id);
  expect((await place.until(id, ended)).status).toMatch(/cancelled|succeeded/);

  const other = await place.post(spec);
  await place.until(other, (job) => job.progress.step > 100);
  await place.store.jobs.pause(OWNER, other);
  worker.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
  expect((await place.get(other)).status).toBe("paused");
});

test("an idle worker takes a job that is given back at once", async () => {
  const first = await place.startWorker();
  // So long that it still runs when the second worker is there.
  const id = await place.post(longSpec(600));
  await place.until(id, (job) => job.progress.step > 100);
  // Nothing that waits for the lease would find the job within the time of the test.
  await place.startWorker({ LEASE_MS: "60000" });
  first.kill("SIGTERM");
  await first.exited;
  await place.until(id, (job) => job.run === 2);
  await place.store.jobs.cancel(OWNER, id);
  expect((await place.until(id, ended)).status).toBe("cancelled");
  await place.forgetRoom();
});

test("the most urgent waiting job is taken first, then the oldest", async () => {
  const short = { training: { ...spec.training, epochs: 2 } };
  const waiting = [];
  for (const priority of [0, 5, 10, 5]) waiting.push(await place.post({ ...short, resources: { priority } }));
  await place.startWorker();
  const jobs = await Promise.all(waiting.map((id) => place.until(id, ended)));
  const order = jobs.map((job) => Date.parse(job.started_at!));
  expect([...order].sort((a, b) => a - b)).toEqual([order[2], order[1], order[3], order[0]]);
});
