import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * NAdam: Adam with Nesterov's momentum. The momentum grows from half of β₁ to β₁.
 *
 *     g = ∇f(x) + weight_decay · x             (decoupled: x = x · (1 − lr · weight_decay) instead)
 *     μₜ = β₁ (1 − 0.96^(t · momentum_decay) / 2)              M = μ₁ · μ₂ · … · μₜ
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     x = x − lr · (μₜ₊₁/(1 − M μₜ₊₁) · m + (1 − μₜ)/(1 − M) · g) / (√(v/(1 − β₂ᵗ)) + eps)
 *
 * Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016. Semantics of
 * `torch.optim.NAdam`, which keeps M as `mu_product`.
 *
 * At the first step with the defaults μ₁ is 0.450. (1 − μ₁)/(1 − M) is 1, m is g/10 and its weight
 * is 0.451/0.797, so x moves by 1.057 · lr.
 */
export const nadam = defineOptimizer({
  type: "nadam",
  summary: "Adam with Nesterov's momentum: often a little faster than Adam.",
  formula: "x −= lr · (μₜ₊₁/(1−Mμₜ₊₁)·m + (1−μₜ)/(1−M)·g) / (√v̂ + eps), μₜ = β₁(1 − 0.96^(t·momentum_decay)/2), M = Πμ",
  source: "Dozat 2016; torch.optim.NAdam",
  options: {
    lr: { kind: "number", default: 2e-3, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Decay of the averages of the gradient and of its square.",
    },
    eps: { kind: "number", default: 1e-8, min: 0, tries: [0.01], doc: "Added to the denominator." },
    weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
    momentum_decay: { kind: "number", default: 4e-3, min: 0, doc: "How fast the momentum grows to the first beta." },
    decoupled_weight_decay: {
      kind: "boolean",
      default: false,
      doc: "Apply the weight decay to the weights directly, not through the gradient, as in AdamW.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  cycledOption: "betas",
  torch: { name: "NAdam" },
  state: () => zeros("exp_avg", "exp_avg_sq"),
  create(kernels, options) {
    const { weight_decay: decay, decoupled_weight_decay: decoupled, momentum_decay: growth, eps } = options;
    const [own, beta2] = options.betas;
    const sign = options.maximize ? -1 : 1;
    const coupled = decoupled ? 0 : decay;
    const growing = (t: number) => beta1 * (1 - 0.5 * kernels.pow(0.96, t * growth));
    const scalars = { mu_product: 1 };
    let beta1 = own;
    let shrink = 1;
    let root2 = 1;
    let rateGradient = 0;
    let rateMomentum = 0;
    return {
      scalars,
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        if (decoupled) shrink = 1 - lr * decay;
        const next = growing(t + 1);
        scalars.mu_product *= growing(t);
        root2 = Math.sqrt(1 - kernels.pow(beta2, t));
        rateGradient = (lr * (1 - growing(t))) / (1 - scalars.mu_product);
        rateMomentum = (lr * next) / (1 - scalars.mu_product * next);
      },
      passes: [
        {
          run({ weight, gradient, state: [m, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.nadam(
              weight + at, gradient + at, m + at, v + at, end - begin, sign, coupled, shrink,
              1 - beta1, beta2, 1 - beta2, root2, eps, rateGradient, rateMomentum,
            );
          },
        },
      ],
    };
  },
});
