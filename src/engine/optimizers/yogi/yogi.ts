import { defineOptimizer } from "../optimizer.ts";

/**
 * Yogi: Adam whose second moment changes by a share of g², however far from g² it is. So the rate
 * cannot jump when gradients fade.
 *
 *     m = β₁ m + (1 − β₁) g
 *     v = v − (1 − β₂) · sign(v − g²) · g²
 *     x = x − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)
 *
 * Both averages start at initial_accumulator_value. Zaheer et al., "Adaptive methods for nonconvex
 * optimization", NeurIPS 2018, algorithm 2. Semantics of `optax.yogi`.
 *
 * With β₂ = 0.9, v at 100 and gradients of 1 v goes 99.9, 99.8, 99.7. Adam's goes 90.1, 81.2, 73.2.
 */
export const yogi = defineOptimizer({
  type: "yogi",
  summary: "Adam whose rates rise slowly when gradients fade: for gradients that are sparse or come in bursts.",
  formula: "m = β₁m + (1−β₁)g; v −= (1−β₂)·sign(v−g²)·g²; x −= lr · m̂ / (√v̂ + eps)",
  source: "Zaheer et al. 2018; optax.yogi",
  options: {
    lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Decay of the average of the gradient, and how slowly the second moment moves.",
    },
    eps: { kind: "number", default: 1e-3, min: 0, tries: [0.01], doc: "Added to the denominator." },
    initial_accumulator_value: { kind: "number", default: 1e-6, min: 0, doc: "Initial value of both averages." },
  },
  cycledOption: "betas",
  state: ({ initial_accumulator_value: initial }) => [
    { name: "exp_avg", initial },
    { name: "exp_avg_sq", initial },
  ],
  create(kernels, { betas: [own, beta2], eps }) {
    let beta1 = own;
    let stepSize = 0;
    let scale2 = 1;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        stepSize = lr / (1 - kernels.pow(beta1, t));
        scale2 = 1 / Math.sqrt(1 - kernels.pow(beta2, t));
      },
      passes: [
        {
          run({ weight, gradient, state: [m, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.yogi(
              weight + at, gradient + at, m + at, v + at, end - begin, beta1, 1 - beta1, 1 - beta2, scale2, eps, stepSize,
            );
          },
        },
      ],
    };
  },
});
