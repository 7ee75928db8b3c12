/**
 * Random networks of containers, layers that work in place and values with several readers: their
 * gradients are those of the function that they compute. Memory that is used again too early would
 * show, because it spoils a value or a gradient.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Member } from "../../../src/engine/settings.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { member } from "../../support/training.ts";

const WIDTH = 4;
const SAMPLES = 3;
/**
 * Steps of the difference quotients. Where a function bends much, a long step is wrong; where its
 * value is large, a short one is lost in rounding. A wrong gradient agrees with none of them.
 */
const STEPS = [2 ** -7, 2 ** -9, 2 ** -11];

const linear = member("layers", "linear", { out_features: WIDTH });
const leaf = fc.constantFrom<Member>(
  linear,
  ...["tanh", "sigmoid", "gelu", "silu", "softplus", "layer_norm", "softmax"].map((type) => member("layers", type)),
);

/** Layers that keep the width, so that any of them may follow any other. */
const { layers } = fc.letrec<{ layers: Member[]; layer: Member }>((tie) => ({
  layers: fc.array(tie("layer"), { minLength: 1, maxLength: 4 }),
  layer: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.record({ type: fc.constant("sequential"), layers: tie("layers") }),
    fc.record({
      type: fc.constant("residual"),
      layers: tie("layers"),
      shortcut: fc.oneof(fc.constant([]), tie("layers")),
    }),
    fc.record({ type: fc.constant("repeat"), times: fc.integer({ min: 1, max: 2 }), layers: tie("layers") }),
    fc.record({
      type: fc.constant("add"),
      branches: fc.array(fc.oneof(fc.constant([]), tie("layers")), { minLength: 1, maxLength: 3 }),
    }),
    fc
      .tuple(tie("layers"), tie("layers"))
      .map((branches): Member => ({ type: "sequential", layers: [{ type: "concat", dim: 0, branches }, linear] })),
  ),
}));

/** Numbers in −1..1 that follow from their place. */
const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => (Math.imul(i + 31 * seed + 7, 2654435761) >>> 9) / 2 ** 22 - 1);

test("the gradient of a random network is that of its function", () => {
  fc.assert(
    fc.property(layers, (drawn) => {
      const run = new LayerRun(drawn, [{ name: "x", shape: [WIDTH], type: "float32" }], SAMPLES);
      for (const [i, { name, length }] of run.parameters.entries()) run.setParameter(name, numbers(length, i));
      const x = numbers(WIDTH * SAMPLES, 99);
      const upstream = numbers(WIDTH * SAMPLES, 77);
      const value = (input: Float32Array) => {
        run.forward([input], true);
        return run.output().reduce((sum, y, i) => sum + y * upstream[i], 0);
      };
      value(x);
      run.backward(upstream, true);
      const gradient = run.inputGradient(0);
      const scale = Math.max(1, ...gradient.map(Math.abs));
      for (let i = 0; i < x.length; i++) {
        const moved = (by: number) => value(x.with(i, x[i] + by));
        const slope = (step: number) =>
          (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
        const errors = STEPS.map((step) => Math.abs(gradient[i] - slope(step)) / scale);
        expect(Math.min(...errors)).toBeLessThan(0.02);
      }
    }),
    { numRuns: 200 },
  );
});
