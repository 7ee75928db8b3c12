import { defineOptimizer, zeros } from "../optimizer.ts";

/** Rates below it count as 0. */
export const LEAST_RATE = 1e-30;

/**
 * FTRL-Proximal: every weight is the best answer to all gradients so far at once, with an L1
 * penalty that makes weights exactly zero.
 *
 *     p = −lr_power                     a' = a + g²
 *     z = z + g + 2 · l2_shrinkage · x − (a'ᵖ − aᵖ)/lr · x
 *     x = (clamp(z, −l1, l1) − z) / (a'ᵖ/lr + 2 (l2 + beta/(2 lr)))
 *
 * Sparse linear models of very many features (click prediction) are its home. McMahan et al., "Ad
 * click prediction: a view from the trenches", KDD 2013, algorithm 1. Semantics of
 * `keras.optimizers.Ftrl`. Weights hang on z alone: what they were before the first step is soon
 * forgotten. The formula divides by lr: below `LEAST_RATE`, whose inverse would leave float32 no
 * room, weights and state stay as they are.
 *
 * With lr = 0.1, l1 = 1, a = 0 at first and a gradient of 3, a weight of 0 goes to (1 − 3)/(3/0.1)
 * = −0.067; under one of 0.9 it stays 0.
 */
export const ftrl = defineOptimizer({
  type: "ftrl",
  summary: "Drives weights of useless features to exactly zero: for sparse linear models.",
  formula:
    "z += g + 2·l2_shrinkage·x − (a'ᵖ−aᵖ)/lr·x; x = (clamp(z, ±l1) − z)/(a'ᵖ/lr + 2·l2 + beta/lr), a' = a + g², p = −lr_power",
  source: "McMahan et al. 2013; keras.optimizers.Ftrl",
  options: {
    lr: { kind: "number", default: 1e-3, above: 0, tries: [0.02], doc: "Learning rate; below 1e-30 nothing moves." },
    lr_power: {
      kind: "number",
      default: -0.5,
      max: 0,
      tries: [-0.7, 0],
      doc: "How the rate falls with the sum of squares; 0: not at all.",
    },
    initial_accumulator_value: { kind: "number", default: 0.1, min: 0, doc: "What the sum of squares starts as." },
    l1: { kind: "number", default: 0, min: 0, doc: "L1 penalty: makes weights exactly zero." },
    l2: { kind: "number", default: 0, min: 0, doc: "L2 penalty." },
    l2_shrinkage: { kind: "number", default: 0, min: 0, doc: "L2 penalty that acts through the gradient." },
    beta: { kind: "number", default: 0, min: 0, doc: "Added to the root of the sum of squares; shortens first steps." },
  },
  state: ({ initial_accumulator_value: initial }) => [{ name: "accumulator", initial }, ...zeros("linear")],
  create(kernels, { lr_power: power, l1, l2, l2_shrinkage: shrinkage, beta }) {
    let rate = 0;
    return {
      begin(_t, lr) {
        rate = lr;
      },
      passes: [
        {
          run({ weight, gradient, state: [accumulator, linear] }, begin, end) {
            if (rate < LEAST_RATE) return;
            const at = begin * 4;
            const penalty = 2 * (l2 + beta / (2 * rate));
            // prettier-ignore
            kernels.ftrl(
              weight + at, gradient + at, accumulator + at, linear + at, end - begin, -power, 1 / rate, l1, penalty, 2 * shrinkage,
            );
          },
        },
      ],
    };
  },
});
