/** What a test of learning rates suggests, and that it changes nothing. */
import { describe, expect, test } from "vitest";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { isBestWeight } from "../../../src/engine/state/state.ts";
import type { RangeTestResult } from "../../../src/engine/watch/range-test.ts";
import { exampleJobs, trainAll, validLoss } from "../../support/examples.ts";
import { member, smallJob, train, type Trained } from "../../support/training.ts";

const schedule = (options = {}): TrainingJob["schedule"] => ({
  ...member("schedules", "lr_range_test", options),
  interval: "step",
  warmup_steps: 0,
});

function found({ outcome }: Pick<Trained, "outcome">): RangeTestResult {
  if (!("rangeTest" in outcome) || outcome.rangeTest === undefined) throw new Error(`it ended as ${outcome.type}`);
  return outcome.rangeTest;
}

describe.each([
  { name: "digits", width: 64, batch: 64, epochs: 8 },
  { name: "iris", width: 16, batch: 16, epochs: 20 },
  { name: "breast_cancer", width: 16, batch: 32, epochs: 15 },
])("on $name", ({ name, width, batch, epochs }) => {
  const linear = (outputs: number | null) => ({ type: "linear", out_features: outputs });
  const model = { layers: [linear(width), { type: "relu" }, linear(null)] };
  const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

  test.each([{ type: "adam" }, { type: "sgd", momentum: 0.9 }, { type: "muon" }, { type: "schedule_free_adamw" }])(
    "the rate suggested for %o is nearly as good as the best of a grid",
    async (optimizer) => {
      const jobOf = await exampleJobs(name, { model });
      const losses = (lr: number) =>
        [1, 2, 3].map((seed) =>
          jobOf({
            optimizer: { ...optimizer, lr },
            training: { epochs, batch_size: batch, seed, eval_every_epochs: epochs },
          }),
        );
      const tested = jobOf({
        optimizer,
        schedule: { type: "lr_range_test" },
        training: { epochs: 60, batch_size: batch },
      });
      const lr = found(trainAll([tested])[0]).suggested_lr!;
      const grid = Array.from({ length: 9 }, (_, i) => 10 ** (-4 + i / 2));
      const all = trainAll([lr, ...grid].flatMap(losses)).map(validLoss);
      const [suggested, ...others] = [lr, ...grid].map((_, i) => mean(all.slice(3 * i, 3 * i + 3)));
      expect(suggested).toBeLessThan(2.2 * Math.min(...others));
      // A wrong rate would show.
      expect(Math.max(...others)).toBeGreaterThan(4 * Math.min(...others));
    },
  );
});

const layers = [
  member("layers", "linear", { out_features: 33 }),
  member("layers", "batch_norm1d"),
  member("layers", "relu"),
  member("layers", "dropout", { p: 0.2 }),
  member("layers", "linear", { out_features: null }),
];
const groups: TrainingJob["groups"] = [
  { parameters: "*.bias", lr: null, lr_scale: 0.1, weight_decay: null, freeze: false },
];
const job = (options = {}, more: Parameters<typeof smallJob>[0] = {}) =>
  smallJob({ layers, groups, schedule: schedule(options), training: { epochs: 60, log_every_steps: 7 }, ...more });

test("threads, pauses and restarts change nothing of what is found", async () => {
  const one = await train(job());
  expect(found(one).suggested_lr).toBeGreaterThan(1e-4);
  for (const threads of [2, 5]) {
    const { outcome, state, losses } = await train(job(), { threads });
    expect([outcome, state!.sha256, losses]).toEqual([one.outcome, one.state!.sha256, one.losses]);
  }
  // No checkpoint is taken, neither when it is due nor when the run is stopped.
  const stopped = await train(job({ total_steps: 200 }), {
    everySteps: 10,
    meanwhile: (crew) => {
      crew.snapshot();
      crew.stop({ snapshot: true });
    },
  });
  expect([stopped.outcome.type, stopped.checkpoints.size]).toEqual(["stopped", 0]);
  // A run that begins with the final state, because the end was not recorded, reports the same.
  const again = await train(job(), { state: one.state!.bytes });
  expect(found(again)).toEqual(found(one));
});

/** The tensors of a state but for the best weights, which only an evaluation makes. */
function tensors(state: Uint8Array): Record<string, string> {
  const all = [...readSafetensors(state).tensors].filter(([name]) => !isBestWeight(name));
  return Object.fromEntries(all.map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("hex")]));
}

test.each(["adam", "prodigy", "schedule_free_adamw", "lbfgs", "muon"])(
  "the state under %s is afterwards as it was before",
  async (type) => {
    // Its steps compare losses of the same rows.
    const searches = type === "lbfgs";
    const more = {
      optimizer: member("optimizers", type),
      groups: [],
      keepBest: true,
      ...(searches && { layers: layers.filter((layer) => layer.type !== "dropout") }),
      training: searches ? ({ epochs: 300, batch_size: "full" } as const) : { epochs: 60 },
    };
    const { state, outcome } = await train(job({}, more), { atStart: true });
    const constant = { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 };
    const trained = await train(job({}, { ...more, schedule: constant }), { atStart: true });
    const start = tensors(trained.checkpoints.get(0)!);
    expect(Object.keys(start).length).toBeGreaterThan(6);
    expect(tensors(state!.bytes)).toEqual(start);
    expect(tensors(trained.state!.bytes)).not.toEqual(start);
    expect(outcome).toMatchObject({ type: "completed", best: { step: (outcome as { step: number }).step } });
  },
);

test("a loss that is no longer finite is the end of the test, and no failure", async () => {
  const options = { start_lr: 0.01, end_lr: 1e12 };
  const tested = await train(job(options, { optimizer: member("optimizers", "sgd"), groups: [] }));
  expect(tested.outcome).toMatchObject({ type: "completed" });
  const { curve, suggested_lr: lr } = found(tested);
  expect(curve.every(({ lr, loss, smoothed }) => [lr, loss, smoothed].every(Number.isFinite))).toBe(true);
  expect(curve.at(-1)!.lr).toBeLessThan(1e12);
  expect(lr).toBeLessThan(10);
});

test("a curve that does not tell gives no rate", async () => {
  const observe = { every_steps: 50, per_layer: false };
  const still = await train(job({ start_lr: 1e-12, end_lr: 1e-9 }, { observe }));
  expect(still.observed.map(([step]) => step)).toEqual([50, 100, 150, 200, 250, 300]);
  const flat = found(still);
  expect(flat).toMatchObject({ suggested_lr: null, message: expect.stringContaining("did not fall") });
  const falling = found(await train(job({ start_lr: 1e-5, end_lr: 0.01 })));
  expect(falling).toMatchObject({ suggested_lr: null, message: expect.stringContaining("raise end_lr") });
  expect(falling.falling_lr).toBeGreaterThan(1e-4);
});
