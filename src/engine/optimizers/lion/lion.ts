import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Lion takes a step of the same size along every coordinate, in the direction of the sign of an
 * average.
 *
 *     u = sign(β₁ m + (1 − β₁) g)
 *     m = β₂ m + (1 − β₂) g
 *     x = x − lr · (u + weight_decay · x)
 *
 * It keeps one state tensor where Adam keeps two. The length of every step is lr times the root of
 * the number of weights. So choose lr three to ten times smaller than for AdamW, and weight_decay
 * larger by the same factor. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS
 * 2023 (arXiv:2302.06675), program 1. Semantics of `optax.lion`.
 *
 * With lr = 0.1 and no decay a weight of 1 goes to 0.9, under a gradient of 3 and equally under one
 * of 0.003.
 */
export const lion = defineOptimizer({
  type: "lion",
  summary: "Steps by the sign of an average: half of Adam's memory, good on large models with small rates.",
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
      doc: "Share of the average in the sign that is stepped by, and decay of the average.",
    },
    weight_decay: {
      kind: "number",
      default: 1e-3,
      min: 0,
      doc: "Decoupled weight decay: every step takes lr times this share off each weight.",
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
