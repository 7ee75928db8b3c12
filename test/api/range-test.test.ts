// Tests of learning rates, as jobs that a real worker runs.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
let worker: WorkerProcess;

beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(readFileSync("examples/iris.csv", "utf8"))).id;
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

const spec = (changes: object = {}) => ({
  data: { dataset, target: "target", validation: { every: 5 } },
  model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam" },
  schedule: { type: "lr_range_test" },
  training: { epochs: 40, batch_size: 16 },
  ...changes,
});

async function over(id: string): Promise<Job> {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (ended(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a test ends with a suggestion and the model that it began with", async () => {
  // Nothing but the test ends it.
  const watched = {
    training: { epochs: 40, batch_size: 16, early_stopping: { patience: 1 } },
    detectors: { diverging: { policy: "stop" } },
    checkpoint: { at_start: true, every_steps: 5, keep_best: true },
    resources: { threads: 2 },
  };
  const job = await over((await service.create(spec(watched))).id);
  expect(job).toMatchObject({ status: "succeeded", error: null, result: { stop_reason: "completed" } });
  const { lr_range_test: found, steps, weights_sha256: weights, metrics } = job.result!;
  expect(found!.suggested_lr).toBeGreaterThan(0.001);
  expect(found!.suggested_lr).toBeLessThan(0.1);
  expect(found!.curve.length).toBeGreaterThan(50);
  expect(steps).toBeLessThanOrEqual(300);
  const checkpoints = (await service.call("GET", `/v1/jobs/${job.id}/checkpoints`)).body.data as { kinds: string[] }[];
  expect(checkpoints.map(({ kinds }) => kinds)).toEqual([["final"]]);
  const still = { schedule: { type: "constant" }, optimizer: { type: "sgd", lr: 0 } };
  const begun = await over((await service.create(spec(still))).id);
  expect([weights, metrics]).toEqual([begun.result!.weights_sha256, begun.result!.metrics]);

  // The same from the weights of a job, by a fork.
  const trained = await over((await service.create(spec({ schedule: { type: "constant" } }))).id);
  const overrides = { schedule: { type: "lr_range_test" } };
  const fork = (body: object) => service.call("POST", `/v1/jobs/${trained.id}/fork`, { body });
  expect((await fork({ step: "final", overrides })).body).toMatchObject({
    code: "invalid_spec",
    errors: [{ pointer: "/optimizer", message: "must be false: lr_range_test begins at step 0" }],
  });
  const { status, body } = await fork({ step: "final", overrides, optimizer: false });
  expect(status).toBe(201);
  const tuned = await over((body as Job).id);
  expect(tuned.result).toMatchObject({ weights_sha256: trained.result!.weights_sha256 });
  expect(tuned.result!.lr_range_test!.curve[0].loss).toBeLessThan(found!.curve[0].loss / 2);

  // What goes on from a test begins at step 0 too.
  const after = (body: object) =>
    service.call("POST", `/v1/jobs/${job.id}/fork`, { body: { step: "final", overrides: still, ...body } });
  expect((await after({})).body).toMatchObject({
    code: "invalid_spec",
    errors: [{ pointer: "/optimizer", message: "must be false: lr_range_test ends with the state of step 0" }],
  });
  expect((await after({ optimizer: false })).status).toBe(201);
}, 60_000);

test("a test that is paused begins again, and finds the same", async () => {
  // Rates that end nothing, and a job that lasts long enough to be paused.
  const slow = spec({
    model: { layers: [{ type: "linear", out_features: 512 }, { type: "relu" }, { type: "linear" }] },
    schedule: { type: "lr_range_test", start_lr: 1e-6, end_lr: 1e-3, total_steps: 40_000 },
    training: { epochs: 5000, batch_size: 16 },
    checkpoint: { every_steps: 1000 },
  });
  const status = async (id: string) => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  const { id } = await service.create(slow);
  await expect.poll(async () => (await status(id)).progress.step, { timeout: 30_000 }).toBeGreaterThan(0);
  expect((await service.call("POST", `/v1/jobs/${id}/pause`)).status).toBe(202);
  await expect.poll(async () => (await status(id)).status, { timeout: 30_000 }).toBe("paused");
  expect((await status(id)).progress.last_checkpoint_step).toBe(null);
  expect((await service.call("POST", `/v1/jobs/${id}/resume`)).status).toBe(202);
  const [resumed, whole] = [await over(id), await over((await service.create(slow)).id)];
  expect(resumed.run).toBeGreaterThan(whole.run);
  expect(resumed.result).toEqual(whole.result);
  expect(resumed.result).toMatchObject({
    lr_range_test: { suggested_lr: null, message: expect.stringContaining("raise end_lr") },
    steps: 40_000,
  });
}, 120_000);

test.each([
  [
    { training: { epochs: 3, batch_size: 16 } },
    "/schedule/total_steps",
    /^must be at most 24, the steps of the training/,
  ],
  [{ schedule: { type: "lr_range_test", end_lr: 1e-5 } }, "/schedule/end_lr", /^must be at least 10 times start_lr/],
  [{ schedule: { type: "lr_range_test", interval: "epoch" } }, "/schedule/interval", /^must be "step"/],
  [{ schedule: { type: "lr_range_test", warmup_steps: 9 } }, "/schedule/warmup_steps", /^must be 0/],
  [
    {
      schedule: { type: "sequential", schedulers: [{ type: "constant" }, { type: "lr_range_test" }], milestones: [9] },
    },
    "/schedule/schedulers/1",
    /^cannot be lr_range_test, which tests rates/,
  ],
  [{ training: { epochs: 40, batch_size: 16, averaging: { type: "swa" } } }, "/training/averaging", /^must be null/],
  [
    { training: { epochs: 40, batch_size: 16, seeds: 2 } },
    "/schedule/type",
    /^may not be lr_range_test: test the rates/,
  ],
  [
    { parameter_groups: [{ parameters: "*.bias", lr: 0.1 }] },
    "/parameter_groups/0/lr",
    /^must be null: .* lr_scale multiplies them$/,
  ],
])("%o is told at POST", async (changes, pointer, message) => {
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec(changes) });
  expect([status, body.errors]).toEqual([422, [{ pointer, message: expect.stringMatching(message) }]]);
});

test("a study cannot search with it", async () => {
  const constant = { type: "constant" };
  const message = "may not be a test of learning rates, which trains no model";
  const faults = async (schedule: object, space: object) => {
    const body = { spec: spec({ schedule }), space, trials: 3 };
    return (await service.call("POST", "/v1/studies", { body })).body.errors;
  };
  const lr = { "/optimizer/lr": { log_uniform: [0.001, 1] } };
  expect(await faults({ type: "lr_range_test" }, lr)).toContainEqual({ pointer: "/spec/schedule/type", message });
  for (const [at, choice] of [
    ["/schedule", [constant, { type: "lr_range_test" }]],
    ["/schedule/type", ["constant", "lr_range_test"]],
  ] as const) {
    const pointer = `/space/${at.replaceAll("/", "~1")}/choice/1`;
    expect(await faults(constant, { [at]: { choice } })).toContainEqual({ pointer, message });
  }
});
