import { expect, test } from "vitest";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { planModel } from "../../../src/engine/plan/model.ts";
import { workMs } from "../../../src/engine/plan/work.ts";

const layer = (type: string, options: object = {}) => withDefaults(layers[type], { ...options });
const linear = (outputs: number | null) => layer("linear", { out_features: outputs });
const relu = layer("relu");

function planOf(shape: number[], model: ReturnType<typeof layer>[], batchRows: number) {
  return planModel({
    model: { layers: model },
    loss: withDefaults(losses.cross_entropy),
    optimizer: withDefaults(optimizers.adam),
    inputs: [{ name: "x", shape, type: "float32" }],
    target: { classes: 10, shape: [] },
    batchRows,
    smallestBatch: batchRows,
    trainRows: 4096,
    evaluatedRows: 512,
    threads: 1,
    keepBest: false,
  });
}

// The milliseconds of a step in docs/performance.md, with the portable kernels.
test.each([
  ["a perceptron", 1.75, planOf([784], [linear(256), relu, linear(128), relu, linear(null)], 64)],
  ["an lstm", 27.5, planOf([64, 32], [layer("lstm", { hidden_size: 128, output: "last" }), linear(null)], 32)],
])("the estimate of a step of %s is right within a factor of three", (_name, measured, plan) => {
  const estimate = workMs(plan, { steps: 1, batches: 1, evaluations: 0, evaluatedRows: 0 });
  expect(estimate).toBeGreaterThan(measured / 3);
  expect(estimate).toBeLessThan(measured * 3);
});

test("each part of the training adds to the estimate", () => {
  const plan = planOf([4], [linear(16), relu, linear(null)], 16);
  const course = { steps: 100, batches: 200, evaluations: 10, evaluatedRows: 30 };
  const estimate = workMs(plan, course);
  for (const part of ["steps", "batches", "evaluations", "evaluatedRows"] as const)
    expect(workMs(plan, { ...course, [part]: 2 * course[part] })).toBeGreaterThan(estimate);
});
