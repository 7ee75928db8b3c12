// Kill a process anywhere: the job ends with the same bytes, the same metrics, and nothing left
// behind.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { eventTypes, metricRows, OWNER } from "../store/support.ts";
import { ended, openPlace, ways, waysTaken, type Place, type Way } from "./support.ts";

let place: Place;
type Outcome = Awaited<ReturnType<typeof outcome>>;
let undisturbed: Outcome;
/** Of `small`. */
let whole: Outcome;

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

/** A job without a checkpoint before its end, whose files all go with the script that ends it. */
const small = {
  training: { epochs: 5, batch_size: 32, seed: 3 },
  checkpoint: { every_steps: null, every_seconds: null, keep_best: true },
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

async function expectUndisturbed(id: string, expected = undisturbed): Promise<Job> {
  const { job, metrics, evaluated } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: expected.job.result });
  expect(metrics).toEqual(expected.metrics);
  expect(evaluated).toEqual(expected.evaluated);
  // A delivery that is not needed goes when a worker has looked at it.
  await expect.poll(() => permanentKeys(id), { timeout: 10_000 }).toEqual(expected.keys);
  return job;
}

beforeAll(async () => {
  place = await openPlace();
  const worker = await place.startWorker();
  const id = await place.post(spec);
  const smallId = await place.post(small);
  await place.until(smallId, ended);
  // The worker may not have told BullMQ yet.
  await new Promise((resolve) => setTimeout(resolve, 200));
  [undisturbed, whole] = [await outcome(id), await outcome(smallId)];
  for (const { job, keys } of [undisturbed, whole]) {
    expect(job.status).toBe("succeeded");
    expect(keys).not.toContainEqual(expect.stringContaining("deliveries"));
  }
  expect([waysTaken(worker, id), waysTaken(worker, smallId)]).toEqual([["threads"], ["lane"]]);
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

/** With checkpoints of one chunk, the first of which is due long before the end. */
const checkpoints = { ...small, checkpoint: { every_steps: 10, every_seconds: null, keep_best: true } };

/** Posts a job whose first worker dies. There is a second one afterwards. */
async function dies(point: string, changes: Record<string, unknown>, way: Way): Promise<string> {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
  const id = await place.post(changes, way);
  expect(await dying.exited).toBe("SIGKILL");
  expect(waysTaken(dying, id)).toEqual([way]);
  await place.startWorker();
  return id;
}

describe.each(ways)("a job that is run by way of: %s", (way) => {
  test.each([
    ["before-final-commit", 2],
    ["after-final-commit", 1],
  ] as const)("its worker dies at %s", async (point, run) => {
    const id = await dies(point, small, way);
    expect(await expectUndisturbed(id, whole)).toMatchObject({ run });
  });

  test("a worker dies while it cancels: the job is cancelled nevertheless", async () => {
    const dying = await place.startWorker({ RAPPEL_CRASH_AT: "during-cancel" });
    const id = await place.post(spec, way);
    await place.until(id, (job) => job.progress.step > 0);
    await place.store.jobs.cancel(OWNER, id);
    expect(await dying.exited).toBe("SIGKILL");
    expect(waysTaken(dying, id)[0]).toBe(way);
    await place.startWorker();
    expect((await place.until(id, ended)).status).toBe("cancelled");
    // A lane may commit what it had trained before it sees that the job is to be cancelled.
    const types = await eventTypes(place.store, id);
    expect(types.filter((type) => type.startsWith("cancel"))).toEqual(["cancelling", "cancelled"]);
    expect(types.at(-1)).toBe("cancelled");
  });
});

test.each(["before-commit", "after-commit"])("a lane dies at %s, and its job goes on", async (point) => {
  const id = await dies(point, checkpoints, "lane");
  const { job, metrics, evaluated } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", run: 2, result: whole.job.result });
  expect([metrics, evaluated]).toEqual([whole.metrics, whole.evaluated]);
  expect(await eventTypes(place.store, id)).toContain("resumed");
});

test("a worker dies while a lane gives back a job that takes longer", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "during-release" });
  const id = await place.post(spec, "lane");
  expect(await dying.exited).toBe("SIGKILL");
  expect(waysTaken(dying, id)).toEqual(["lane"]);
  const heir = await place.startWorker();
  expect((await expectUndisturbed(id)).run).toBe(2);
  expect(waysTaken(heir, id)).toEqual(["threads"]);
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
