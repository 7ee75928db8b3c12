import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * AdaBelief: Adam whose steps are divided by how far the gradients stray from their average. Steps
 * are long where the gradient is as expected.
 *
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂)(g − m)² + eps_root
 *     x = x − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)
 *
 * eps_root is added at every step and accumulates in v. Zhuang et al., "AdaBelief optimizer:
 * adapting stepsizes by the belief in observed gradients", NeurIPS 2020 (arXiv:2010.07468),
 * algorithm 2. Semantics of `optax.adabelief`.
 *
 * At the first step m is g/10 and g − m is 0.9 g. So x moves by lr/0.9, whatever the gradient is.
 */
export const adabelief = defineOptimizer({
  type: "adabelief",
  summary: "Adam with long steps where gradients are close to their average, and short steps where they are not.",
  formula: "m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)(g−m)² + eps_root; x −= lr · m̂ / (√v̂ + eps)",
  source: "Zhuang et al. 2020, arXiv:2010.07468; optax.adabelief",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Decay of two averages: of the gradient, and of the square of its deviation from that average.",
    },
    eps: { kind: "number", default: 1e-16, min: 0, tries: [0.01], doc: "Added to the denominator." },
    eps_root: { kind: "number", default: 1e-16, min: 0, doc: "Added to the second moment at every step." },
  },
  cycledOption: "betas",
  state: () => zeros("exp_avg", "exp_avg_sq"),
  create(kernels, { betas: [own, beta2], eps, eps_root: epsRoot }) {
    let beta1 = own;
    let stepSize = 0;
    let root2 = 1;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        stepSize = lr / (1 - kernels.pow(beta1, t));
        root2 = Math.sqrt(1 - kernels.pow(beta2, t));
      },
      passes: [
        {
          run({ weight, gradient, state: [m, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.adabelief(
              weight + at, gradient + at, m + at, v + at, end - begin,
              beta1, 1 - beta1, beta2, 1 - beta2, epsRoot, root2, eps, stepSize,
            );
          },
        },
      ],
    };
  },
});
