import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * RAdam: Adam that divides by the root of the second moment only after it has seen enough gradients
 * to estimate that moment well.
 *
 *     g = ∇f(x) + weight_decay · x             (decoupled: x = x · (1 − lr · weight_decay) instead)
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     ρ∞ = 2/(1 − β₂) − 1                                     ρ = ρ∞ − 2 t β₂ᵗ/(1 − β₂ᵗ)
 *     r = √((ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ))
 *     x = x − lr · m/(1 − β₁ᵗ) · r √(1 − β₂ᵗ)/(√v + eps)    if ρ > 5, else x = x − lr · m/(1 − β₁ᵗ)
 *
 * Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020
 * (arXiv:1908.03265), algorithm 2. Semantics of `torch.optim.RAdam`: eps is added to the
 * uncorrected root.
 *
 * With β₂ = 0.999 ρ exceeds 5 from the sixth step on. The first five steps are gradient descent
 * with averaged gradients: under a gradient of 3 and lr = 0.1 a weight goes from 1 to 0.7.
 */
export const radam = defineOptimizer({
  type: "radam",
  summary: "Adam with a built-in warm-up: its first steps are steady without a schedule.",
  formula: "x −= lr · m̂ · r · √(1−β₂ᵗ)/(√v + eps) once ρ > 5; x −= lr · m̂ before",
  source: "Liu et al. 2020, arXiv:1908.03265; torch.optim.RAdam",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
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
    decoupled_weight_decay: {
      kind: "boolean",
      default: false,
      doc: "Apply the weight decay to the weights directly, not through the gradient, as in AdamW.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  cycledOption: "betas",
  torch: { name: "RAdam" },
  state: () => zeros("exp_avg", "exp_avg_sq"),
  create(kernels, options) {
    const { weight_decay: decay, decoupled_weight_decay: decoupled, eps } = options;
    const [own, beta2] = options.betas;
    const sign = options.maximize ? -1 : 1;
    const coupled = decoupled ? 0 : decay;
    const longest = 2 / (1 - beta2) - 1;
    let beta1 = own;
    let shrink = 1;
    let rectified = 0;
    let stepSize = 0;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        if (decoupled) shrink = 1 - lr * decay;
        const power = kernels.pow(beta2, t);
        const length = longest - (2 * t * power) / (1 - power);
        stepSize = lr / (1 - kernels.pow(beta1, t));
        rectified = length > 5 ? 1 : 0;
        if (length <= 5) return;
        const square = ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length);
        stepSize *= Math.sqrt(square) * Math.sqrt(1 - power);
      },
      passes: [
        {
          run({ weight, gradient, state: [m, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.radam(
              weight + at, gradient + at, m + at, v + at, end - begin, sign, coupled, shrink,
              1 - beta1, beta2, 1 - beta2, eps, stepSize, rectified,
            );
          },
        },
      ],
    };
  },
});
