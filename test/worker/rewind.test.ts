// A job that diverges and is rewound ends with the same bytes, whatever its checkpoints and
// threads are, and whenever it is killed.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { metricRows, OWNER } from "../store/support.ts";
import { ended, openPlace, type Place } from "./support.ts";

let place: Place;
let undisturbed: { job: Job; metrics: MetricRow[] };

const rewind = { every_steps: 25, window: 50, lr_factor: 0.3, max: 4 };

/**
 * A job of about two seconds. Its learning rate rises eightfold three times. It diverges until it
 * was rewound twice.
 */
const spec = {
  model: {
    layers: [
      { type: "linear", out_features: 384 },
      { type: "relu" },
      { type: "linear", out_features: 384 },
      { type: "relu" },
      { type: "linear" },
    ],
  },
  optimizer: { type: "sgd", lr: 0.003, momentum: 0.9 },
  schedule: { type: "multi_step", milestones: [150, 170, 190], gamma: 8 },
  detectors: { diverging: { policy: "rewind", rewind } },
  training: { epochs: 40, batch_size: 32, seed: 3, log_every_steps: 3, eval_every_epochs: 4 },
  checkpoint: { every_steps: 60, every_seconds: null, keep_last: 1, keep_best: true },
  resources: { threads: 2 },
};

const changes = [
  { step: 150, detected_step: 204, lr_factor: 0.3 },
  { step: 250, detected_step: 318, lr_factor: 0.3 },
];

async function outcome(id: string) {
  const job = await place.until(id, ended, 60_000);
  return { job, metrics: (await metricRows(place.store, OWNER, id))! };
}

async function eventsOf(id: string, type: string) {
  const { data } = (await place.store.jobs.events(OWNER, id, { limit: 10_000 }))!;
  return data.filter((event) => event.type === type);
}

async function expectUndisturbed(id: string): Promise<Job> {
  const { job, metrics } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undisturbed.job.result });
  expect(metrics).toEqual(undisturbed.metrics);
  expect((await eventsOf(id, "rewound")).map(({ step }) => step)).toEqual([150, 250]);
  return job;
}

beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  undisturbed = await outcome(await place.post(spec));
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

test("the record says what was changed and why, and holds nothing from before the rewinds", async () => {
  const { job, metrics } = undisturbed;
  expect(job).toMatchObject({ status: "succeeded", run: 1, result: { changes } });
  expect(job.result!.metrics.valid_accuracy).toBeGreaterThan(0.95);
  const [first, second] = await eventsOf(job.id, "rewound");
  expect(first).toMatchObject({
    step: 150,
    message: expect.stringMatching(
      /^The loss rose from [\d.]+ at step 174 to [\d.]+e6 at step 204\. Training went back to step 150, and on from there with 0\.3 × the learning rate\.$/,
    ),
    data: { detected_step: 204, lr_factor: 0.3, cause: "learning_rate_too_high", count: 1, max: 4 },
  });
  expect(second.message).toMatch(/^The loss rose from [\d.]+ at step \d+ to [\d.]+ at step 318\./);

  const rates = metrics.filter((row) => row.learning_rate !== undefined);
  expect(rates.map(({ step }) => step)).toEqual(Array.from({ length: 200 }, (_, i) => 3 * i + 3));
  const rateAt = (step: number) => rates.find((row) => row.step === step)!.learning_rate;
  expect(rateAt(150)).toBe(0.003);
  expect(rateAt(153)).toBeCloseTo(0.003 * 8 * 0.3, 12);
  expect(rateAt(249)).toBeCloseTo(0.003 * 8 ** 3 * 0.3, 12);
  expect(rateAt(600)).toBeCloseTo(0.003 * 8 ** 3 * 0.09, 12);

  const diagnosis = (await place.store.jobs.diagnosis(OWNER, job.id))!;
  expect(diagnosis.changes).toEqual(changes);
  expect(diagnosis.findings.slice(0, 2).map(({ detector, step }) => [detector, step])).toEqual([
    ["diverging", 204],
    ["diverging", 318],
  ]);
});

test.each([
  [1, { every_steps: null }],
  [3, { every_steps: 7, keep_last: 1 }],
  [2, { every_steps: 33, keep_last: 2 }],
  [2, { every_steps: null, every_seconds: 0.05 + Math.random() / 10, keep_last: 1 }],
])("%i threads and the checkpoints %j lead to the same bytes", async (threads, checkpoint) => {
  await place.startWorker({ THREADS: "3" });
  const changed = { ...spec, checkpoint: { ...spec.checkpoint, ...checkpoint }, resources: { threads } };
  await expectUndisturbed(await place.post(changed));
});

test.each(["before-rewind", "after-rewind:2"])("a worker dies %s", async (point) => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
  const id = await place.post(spec);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  expect((await expectUndisturbed(id)).run).toBe(2);
});

test("kills at any time, each after a new checkpoint or rewind", { timeout: 120_000 }, async () => {
  const often = { ...spec, checkpoint: { ...spec.checkpoint, every_steps: 10 + Math.floor(Math.random() * 40) } };
  const id = await place.post(often);
  for (let kill = 0; kill < 5; kill++) {
    const worker = await place.startWorker();
    const job = await place.until(id, ({ run, status }) => run > kill || ended({ status } as Job));
    const { progress } = await place.until(id, (now) => ended(now) || now.progress.step > job.progress.step + 60);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 300));
    worker.kill("SIGKILL");
    await worker.exited;
    if (progress.status === "succeeded") break;
  }
  await place.startWorker();
  await expectUndisturbed(id);
});

test("after the last rewind the job fails, and says that it was rewound before", async () => {
  const worker = await place.startWorker();
  const doomed = {
    ...spec,
    optimizer: { type: "sgd", lr: 3, momentum: 0.9 },
    schedule: { type: "exponential", gamma: 1.05 },
    detectors: { diverging: { policy: "rewind", rewind: { every_steps: 5, window: 5, max: 2 } } },
  };
  const id = await place.post(doomed);
  const { job } = await outcome(id);
  expect(job).toMatchObject({ status: "failed", result: null, error: { code: "diverged" } });
  expect(job.error!.message).toMatch(/ Training had gone back 2 times before\.$/);
  expect(job.error!.suggestion).toMatch(
    /^Lower lr .* too late at step 5, .* raise detectors\.diverging\.rewind\.window\.$/,
  );
  expect(await eventsOf(id, "rewound")).toHaveLength(2);
  const diagnosis = (await place.store.jobs.diagnosis(OWNER, id))!;
  expect(diagnosis.changes).toHaveLength(2);
  expect(diagnosis.summary).toMatch(/Lower lr .* \(and 2 more\)$/);
  worker.kill("SIGKILL");
});
