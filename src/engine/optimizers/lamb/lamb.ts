import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * LAMB steps in Adam's direction. The length of each tensor's step is lr times the tensor's norm.
 *
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     u = m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ) + eps_root) + eps) + weight_decay · x
 *     x = x − lr · ‖x‖/‖u‖ · u            (the ratio is 1 if either norm is 0)
 *
 * The norms are over a whole tensor, so there are two passes. The first moves the moments, writes u
 * over the gradient and sums the squares. The second makes the step. You et al., "Large batch
 * optimization for deep learning: training BERT in 76 minutes", ICLR 2020 (arXiv:1904.00962),
 * algorithm 2. Semantics of `optax.lamb`.
 *
 * At the first step u is the sign of the gradient. A tensor [3, 4] has the norm 5, and u = [1, 1]
 * has the norm √2. With lr = 0.1 both weights move by 0.354.
 */
export const lamb = defineOptimizer({
  type: "lamb",
  summary: "Adam with steps proportional to the norm of each tensor: for very large batches.",
  formula: "u = m̂ / (√(v̂ + eps_root) + eps) + weight_decay·x; x −= lr · ‖x‖/‖u‖ · u",
  source: "You et al. 2020, arXiv:1904.00962; optax.lamb",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate, relative to each tensor's norm." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Decay of the averages of the gradient and of its square.",
    },
    eps: { kind: "number", default: 1e-6, min: 0, tries: [0.01], doc: "Added to the denominator." },
    eps_root: { kind: "number", default: 0, min: 0, doc: "Added under the root." },
    weight_decay: { kind: "number", default: 0, min: 0, doc: "Share of each weight that is added to the direction." },
  },
  cycledOption: "betas",
  state: () => zeros("exp_avg", "exp_avg_sq"),
  create(kernels, { betas: [own, beta2], eps, eps_root: epsRoot, weight_decay: decay }) {
    let beta1 = own;
    let rate = 0;
    let scale2 = 1;
    let inside = 0;
    let outside = 0;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        rate = lr;
        const correction1 = 1 - kernels.pow(beta1, t);
        scale2 = correction1 ** 2 / (1 - kernels.pow(beta2, t));
        inside = correction1 ** 2 * epsRoot;
        outside = correction1 * eps;
      },
      passes: [
        {
          sums: 2,
          run({ weight, gradient, state: [m, v] }, begin, end, sums) {
            const at = begin * 4;
            // prettier-ignore
            kernels.lamb_moments(
              weight + at, gradient + at, m + at, v + at, sums, end - begin,
              beta1, 1 - beta1, beta2, 1 - beta2, scale2, inside, outside, decay,
            );
          },
        },
        {
          run({ weight, gradient, sums: [squaredWeights, squaredSteps] }, begin, end) {
            const at = begin * 4;
            const trust =
              squaredWeights > 0 && squaredSteps > 0 ? Math.sqrt(squaredWeights) / Math.sqrt(squaredSteps) : 1;
            kernels.lamb_step(weight + at, gradient + at, end - begin, rate * trust);
          },
        },
      ],
    };
  },
});
