import { defineOptimizer, zeros } from "../optimizer.ts";

/** Learning rates below this count as 0. */
export const LEAST_RATE = 1e-30;

/**
 * FTRL-Proximal: every step chooses the weights anew, as the best answer to all gradients so far.
 * Its L1 penalty makes weights exactly zero.
 *
 *     p = −lr_power                     a' = a + g²
 *     z = z + g + 2 · l2_shrinkage · x − (a'ᵖ − aᵖ)/lr · x
 *     x = (clamp(z, −l1, l1) − z) / (a'ᵖ/lr + 2 (l2 + beta/(2 lr)))
 *
 * It is meant for sparse linear models with very many features, as in click prediction. McMahan et
 * al., "Ad click prediction: a view from the trenches", KDD 2013, algorithm 1. Semantics of
 * `keras.optimizers.Ftrl`. The weights depend on z alone, so their initial values are soon
 * forgotten. The formula divides by lr. The inverse of a rate below `LEAST_RATE` does not fit in
 * float32, so under such a rate weights and state stay as they are.
 *
 * With lr = 0.1, l1 = 1, a = 0 at first and a gradient of 3, a weight of 0 goes to (1 − 3)/(3/0.1)
 * = −0.067. Under a gradient of 0.9 it stays 0.
 */
export const ftrl = defineOptimizer({
  type: "ftrl",
  summary: "Sets the weights of useless features to exactly zero: for sparse linear models.",
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
      doc: "The rate is multiplied by the sum of squares to this power; 0 keeps it constant.",
    },
    initial_accumulator_value: { kind: "number", default: 0.1, min: 0, doc: "Initial value of the sum of squares." },
    l1: { kind: "number", default: 0, min: 0, doc: "L1 penalty: makes weights exactly zero." },
    l2: { kind: "number", default: 0, min: 0, doc: "L2 penalty." },
    l2_shrinkage: { kind: "number", default: 0, min: 0, doc: "L2 penalty that acts through the gradient." },
    beta: {
      kind: "number",
      default: 0,
      min: 0,
      doc: "Added to the root of the sum of squares; it shortens the first steps.",
    },
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
