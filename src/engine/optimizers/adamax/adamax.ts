import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer } from "../optimizer.ts";

const adamaxOptions = {
  lr: { kind: "number", default: 2e-3, min: 0, tries: [0.02], doc: "Learning rate." },
  betas: {
    kind: "numbers",
    length: 2,
    default: [0.9, 0.999],
    min: 0,
    below: 1,
    doc: "Decay of the gradient's average, and of its largest recent size.",
  },
  eps: { kind: "number", default: 1e-8, min: 0, tries: [0.01], doc: "Added to the size of the gradient." },
  weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * Adamax: Adam that divides by the largest recent size of the gradient instead of its root mean
 * square.
 *
 *     g = ∇f(x) + weight_decay · x
 *     m = β₁ m + (1 − β₁) g
 *     u = max(β₂ u, |g| + eps)
 *     x = x − lr/(1 − β₁ᵗ) · m/u
 *
 * u needs no correction: it is not an average. Kingma & Ba, "Adam: a method for stochastic
 * optimization", ICLR 2015 (arXiv:1412.6980), algorithm 2. Semantics of `torch.optim.Adamax`.
 *
 * With lr = 0.1 and a first gradient of 3 a weight of 1 goes to 0.9. If the second gradient is 0, u
 * is still 2.997 and m̂ is 0.27/0.19: the step is 0.047.
 */
export const adamax = defineOptimizer({
  type: "adamax",
  summary:
    "Adam that divides by the largest recent gradient: steady where gradients are mostly small and sometimes huge.",
  formula: "m = β₁m + (1−β₁)g; u = max(β₂u, |g| + eps); x −= lr/(1−β₁ᵗ) · m/u",
  source: "Kingma & Ba 2015, arXiv:1412.6980, algorithm 2; torch.optim.Adamax",
  options: adamaxOptions,
  cycledOption: "betas",
  torch: { name: "Adamax" },
  state: () => zeros("exp_avg", "exp_inf"),
  create: (kernels, options) => createAdamax(kernels, options, false),
});

/** `epsOutside`: eps is added to the denominator, not to the gradient's size (Keras). */
export function createAdamax(
  kernels: Kernels,
  options: ValuesOf<typeof adamaxOptions>,
  epsOutside: boolean,
): Optimizer {
  const { eps, weight_decay: coupled } = options;
  const [own, beta2] = options.betas;
  const sign = options.maximize ? -1 : 1;
  let beta1 = own;
  let stepSize = 0;
  return {
    begin(t, lr, momentum) {
      beta1 = momentum ?? own;
      stepSize = lr / (1 - kernels.pow(beta1, t));
    },
    passes: [
      {
        run({ weight, gradient, state: [m, u] }, begin, end) {
          const at = begin * 4;
          // prettier-ignore
          kernels.adamax(
            weight + at, gradient + at, m + at, u + at, end - begin, sign, coupled,
            1 - beta1, beta2, epsOutside ? 0 : eps, epsOutside ? eps : 0, stepSize,
          );
        },
      },
    ],
  };
}
