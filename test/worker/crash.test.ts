// Kill a process anywhere: the job ends with the same bytes, the same metrics, and nothing left
// behind.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { eventTypes, metricRows, OWNER } from "../store/support.ts";
import { ended, openPlace, type Place } from "./support.ts";

let place: Place;
let undisturbed: { job: Job; metrics: MetricRow[]; evaluated: number[]; keys: string[] };

/** A job of about three seconds with about ten checkpoints of two chunks each. */
const spec = {
  model: {
    layers: [
      { type: "linear", out_features: 640 },
      { type: "relu" },
      { type: "linear", out_features: 640 },
      { type: "relu" },
      { type: "linear" },
    ],
  },
  // Each group has doubles of its own.
  optimizer: { type: "nadam", lr: 0.001 },
  parameter_groups: [
    { parameters: "0.bias", freeze: true },
    { parameters: "*.bias", lr: 0.002, weight_decay: 0.01 },
  ],
  training: { epochs: 66, batch_size: 32, seed: 3, log_every_steps: 3, eval_every_epochs: 4 },
  checkpoint: { every_steps: 90, every_seconds: null, keep_last: 2 },
  resources: { threads: 2 },
};

const checkpointOf = (job: Job): number => job.progress.last_checkpoint_step ?? 0;

async function outcome(id: string) {
  const job = await place.until(id, ended, 120_000);
  const metrics = (await metricRows(place.store, OWNER, id))!;
  return { job, metrics, evaluated: await evaluatedSteps(id), keys: await permanentKeys(id) };
}

/** The steps with an event of an evaluation. How many runs told it does not count. */
async function evaluatedSteps(id: string): Promise<number[]> {
  const { data } = (await place.store.jobs.events(OWNER, id, { limit: 10_000 }))!;
  const steps = data.filter(({ type }) => type === "evaluated").map(({ step }) => step!);
  return [...new Set(steps)].sort((a, b) => a - b);
}

/** What is kept of a job, without what differs between any two jobs. */
async function permanentKeys(id: string): Promise<string[]> {
  const keys = await place.redis.keys(`*${id}*`);
  const permanent = await Promise.all(keys.map(async (key) => (await place.redis.ttl(key)) === -1));
  return keys
    .filter((_, i) => permanent[i])
    .map((key) => key.replace(id, "").replace(/chunk:[^:]+/, "chunk"))
    .sort();
}

async function expectUndisturbed(id: string): Promise<Job> {
  const { job, metrics, evaluated } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undisturbed.job.result });
  expect(metrics).toEqual(undisturbed.metrics);
  expect(evaluated).toEqual(undisturbed.evaluated);
  // A delivery that is not needed goes when a worker has looked at it.
  await expect.poll(() => permanentKeys(id), { timeout: 10_000 }).toEqual(undisturbed.keys);
  return job;
}

beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  const id = await place.post(spec);
  await place.until(id, ended);
  // The worker may not have told BullMQ yet.
  await new Promise((resolve) => setTimeout(resolve, 200));
  undisturbed = await outcome(id);
  expect(undisturbed.job.status).toBe("succeeded");
  expect(undisturbed.keys).not.toContainEqual(expect.stringContaining("deliveries"));
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

test.each(["after-record", "after-add"])("the API dies %s", async (point) => {
  const id = await place.postAndCrash(point, spec);
  await place.startWorker();
  const job = await expectUndisturbed(id);
  expect(job.run).toBe(1);
});

const points = [
  "after-claim",
  "mid-chunk:3",
  "before-commit:2",
  "after-commit:2",
  "before-commit:7",
  "after-final-commit",
];

test.each(points)("a worker dies at %s", async (point) => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
  const id = await place.post(spec);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  const job = await expectUndisturbed(id);
  expect(job.run).toBe(point === "after-final-commit" ? 1 : 2);
});

/** A job without a checkpoint before its end, whose files all go with the script that ends it. */
const small = {
  training: { epochs: 5, batch_size: 32, seed: 3 },
  checkpoint: { every_steps: null, every_seconds: null, keep_best: true },
};

test.each([
  ["after-claim", 2],
  ["before-final-commit", 2],
  ["after-final-commit", 1],
] as const)("a worker dies at %s of a small job", async (point, run) => {
  await place.startWorker();
  const first = await place.post(small);
  const whole = await outcome(first);
  // The worker may not have told BullMQ yet.
  const told = expect.not.arrayContaining([expect.stringContaining("deliveries")]);
  await expect.poll(() => permanentKeys(first), { timeout: 10_000 }).toEqual(told);
  await place.killWorkers();
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
  const id = await place.post(small);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  const again = await outcome(id);
  expect(again.job).toMatchObject({ status: "succeeded", result: whole.job.result, run });
  expect([again.metrics, again.evaluated]).toEqual([whole.metrics, whole.evaluated]);
  await expect.poll(() => permanentKeys(id), { timeout: 10_000 }).toEqual(await permanentKeys(first));
});

test("a worker dies while it cancels: the job is cancelled nevertheless", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "during-cancel" });
  const id = await place.post(spec);
  await place.until(id, (job) => job.progress.step > 0);
  await place.store.jobs.cancel(OWNER, id);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  expect((await place.until(id, ended)).status).toBe("cancelled");
  expect((await eventTypes(place.store, id)).slice(-2)).toEqual(["cancelling", "cancelled"]);
});

test("a worker dies while it gives a job back", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "during-release" });
  const id = await place.post(spec);
  await place.until(id, (job) => job.progress.step > 200);
  dying.kill("SIGTERM");
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker();
  const job = await expectUndisturbed(id);
  expect(job.run).toBe(2);
});

test("five kills at any time of a longer job", { timeout: 300_000 }, async () => {
  const longer = { ...spec, training: { ...spec.training, epochs: 400 } };
  await place.startWorker();
  const first = await outcome(await place.post(longer));
  await place.killWorkers();

  const id = await place.post(longer);
  let committed = -1;
  for (let kill = 0; kill < 5; kill++) {
    const worker = await place.startWorker();
    // Each kill comes after a new checkpoint: five runs that die at the same checkpoint are a
    // crash loop, also on a busy machine.
    const resumed = await place.until(id, (job) => job.run > kill && checkpointOf(job) > committed, 120_000);
    committed = checkpointOf(resumed);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
    worker.kill("SIGKILL");
    await worker.exited;
    expect((await place.get(id)).status).toBe("running");
  }
  await place.startWorker();
  const last = await outcome(id);
  expect(last.job).toMatchObject({ status: "succeeded", result: first.job.result, run: 6 });
  expect(last.metrics).toEqual(first.metrics);
  expect(last.evaluated).toEqual(first.evaluated);
});
