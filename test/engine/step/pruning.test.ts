// Jobs that end at a rung because their metric is worse than the threshold there.
import { describe, expect, test } from "vitest";
import type { Pruning } from "../../../src/engine/settings.ts";
import { isPruned } from "../../../src/engine/step/pruning.ts";
import { modelFile } from "../../../src/engine/state/model-files.ts";
import { smallJob, train, type TrainOptions } from "../../support/training.ts";

const job = (pruning: Pruning | null, training = {}) =>
  smallJob({ training: { epochs: 8, eval_every_epochs: 2, pruning, ...training } });

async function trained(pruning: Pruning | null, options: TrainOptions = {}) {
  const losses: number[] = [];
  const run = await train(job(pruning), { ...options, evaluated: ({ metrics }) => losses.push(metrics.valid_loss) });
  return { ...run, losses };
}

test("a job ends at the first rung where its metric is worse, at any number of threads", async () => {
  const { losses, state } = await trained(null);
  expect(losses).toHaveLength(4);
  const rungs = [
    { epoch: 1, value: losses[0] },
    { epoch: 3, value: losses[1] - 1e-9 },
    { epoch: 5, value: 0 },
  ];
  const pruning = { metric: "valid_loss", rungs };
  const pruned = await trained(pruning);
  expect(pruned.outcome).toMatchObject({ type: "pruned", epochs: 4, metrics: { valid_loss: losses[1] } });
  expect(pruned.losses).toEqual(losses.slice(0, 2));
  for (const options of [{ threads: 3 }, { everySteps: 5, threads: 2 }]) {
    const again = await trained(pruning, options);
    expect(again.outcome).toEqual(pruned.outcome);
    expect(again.state!.sha256).toBe(pruned.state!.sha256);
    for (const checkpoint of again.checkpoints.values()) {
      const resumed = await trained(pruning, { state: checkpoint });
      expect(resumed.outcome).toEqual(pruned.outcome);
      expect(resumed.state!.sha256).toBe(pruned.state!.sha256);
    }
  }
  // A job that reaches no such rung has the weights of one without rungs.
  const kept = await trained({
    metric: "valid_loss",
    rungs: [
      { epoch: 1, value: null },
      { epoch: 8, value: 0 },
    ],
  });
  expect(kept.outcome.type).toBe("completed");
  expect(modelFile(kept.state!.bytes, "final").sha256).toBe(modelFile(state!.bytes, "final").sha256);
});

describe("a rung", () => {
  const at = (epoch: number, value: number, { every = 1, metric = "valid_loss" } = {}) =>
    isPruned({ metric, rungs: [{ epoch: 4, value: 0.5 }] }, epoch, every, value);

  test("belongs to the first evaluation at its epoch or after it", () => {
    expect([3, 4, 5].map((epoch) => at(epoch, 1))).toEqual([false, true, false]);
    expect([3, 6, 9].map((epoch) => at(epoch, 1, { every: 3 }))).toEqual([false, true, false]);
    // The last evaluation is at the end of the training.
    expect(at(5, 1, { every: 3 })).toBe(true);
    expect(at(7, 1, { every: 3 })).toBe(false);
  });

  test("lets a metric pass that is as good as its threshold, in the direction of the metric", () => {
    expect([0.4, 0.5, 0.6].map((value) => at(4, value))).toEqual([false, false, true]);
    const accuracy = { metric: "valid_accuracy" };
    expect([0.4, 0.5, 0.6].map((value) => at(4, value, accuracy))).toEqual([true, false, false]);
    expect([Number.NaN, Infinity, -Infinity].map((value) => at(4, value))).toEqual([true, true, true]);
    expect(isPruned({ ...accuracy, rungs: [{ epoch: 4, value: null }] }, 4, 1, Number.NaN)).toBe(false);
  });
});
