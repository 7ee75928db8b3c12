import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Lion: steps of the same size along every coordinate, by the sign of an average.
 *
 *     u = sign(β₁ m + (1 − β₁) g)
 *     m = β₂ m + (1 − β₂) g
 *     x = x − lr · (u + weight_decay · x)
 *
 * One state tensor instead of Adam's two. Every step is as long as lr times the root of the number
 * of weights: choose lr three to ten times smaller than for AdamW, and weight_decay as many times
 * larger. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023
 * (arXiv:2302.06675), program 1. Semantics of `optax.lion`.
 *
 * With lr = 0.1 and no decay a weight of 1 goes to 0.9 under a gradient of 3 as under one of 0.003.
 */
export const lion = defineOptimizer({
  type: "lion",
  summary: "Only the sign of an average counts: half of Adam's memory, good on large models with small rates.",
  formula: "u = sign(β₁m + (1−β₁)g); m = β₂m + (1−β₂)g; x −= lr · (u + weight_decay·x)",
  source: "Chen et al. 2023, arXiv:2302.06675; optax.lion",
  options: {
    lr: { kind: "number", default: 1e-4, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.99],
      min: 0,
      below: 1,
      doc: "How much of the average counts in the sign, and the decay of the average.",
    },
    weight_decay: {
      kind: "number",
      default: 1e-3,
      min: 0,
      doc: "Share of each weight, times lr, taken off at every step.",
    },
  },
  cycledOption: "betas",
  state: () => zeros("exp_avg"),
  create(kernels, { betas: [own, beta2], weight_decay: decay }) {
    let beta1 = own;
    let rate = 0;
    return {
      begin(_t, lr, momentum) {
        beta1 = momentum ?? own;
        rate = lr;
      },
      passes: [
        {
          run({ weight, gradient, state: [m] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.lion(
              weight + at, gradient + at, m + at, end - begin, beta1, 1 - beta1, beta2, 1 - beta2, decay, rate,
            );
          },
        },
      ],
    };
  },
});
