import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../options.ts";
import { defineOptimizer, type Optimizer } from "../optimizer.ts";

export const adamOptions = {
  lr: { kind: "number", default: 1e-3, min: 0, doc: "Learning rate." },
  betas: {
    kind: "numbers",
    length: 2,
    default: [0.9, 0.999],
    min: 0,
    below: 1,
    doc: "Decay of the averages of the gradient and of its square.",
  },
  eps: { kind: "number", default: 1e-8, min: 0, doc: "Added to the denominator." },
  weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
  amsgrad: { kind: "boolean", default: false, doc: "Divide by the largest second moment so far." },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * Adam: steps of about lr along each coordinate, whatever the gradient's scale.
 *
 *     g = ∇f(x) + weight_decay · x
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     x = x − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)
 *
 * AMSGrad keeps the largest v so far and divides by its root instead. Kingma & Ba, "Adam: a method for stochastic optimization", ICLR
 * 2015 (arXiv:1412.6980), algorithm 1; Reddi et al., "On the convergence of Adam and beyond", ICLR 2018. Semantics of `torch.optim.Adam`.
 *
 * The first step is worked easily: m = (1 − β₁) g and v = (1 − β₂) g², the corrections undo both factors, and what is left is
 * x − lr · g/(|g| + eps). With lr = 0.1 a weight of 1 goes to 0.9 under a gradient of 3 as under one of 0.003.
 */
export const adam = defineOptimizer({
  type: "adam",
  summary: "Adaptive moments: a good first choice for most models.",
  formula: "m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; x −= lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + eps)",
  source: "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam",
  options: adamOptions,
  state: adamState,
  create: (kernels, options) => createAdam(kernels, options, false),
});

export function adamState(options: { readonly amsgrad: boolean }): { name: string; initial: number }[] {
  const names = ["exp_avg", "exp_avg_sq", ...(options.amsgrad ? ["max_exp_avg_sq"] : [])];
  return names.map((name) => ({ name, initial: 0 }));
}

/** `decoupled`: the weights decay on their own, not through the gradient (AdamW). */
export function createAdam(kernels: Kernels, options: ValuesOf<typeof adamOptions>, decoupled: boolean): Optimizer {
  const [beta1, beta2] = options.betas;
  const sign = options.maximize ? -1 : 1;
  const coupled = decoupled ? 0 : options.weight_decay;
  let shrink = 1;
  let stepSize = 0;
  let root2 = 1;
  return {
    begin(t, lr) {
      if (decoupled) shrink = 1 - lr * options.weight_decay;
      stepSize = lr / (1 - kernels.pow(beta1, t));
      root2 = Math.sqrt(1 - kernels.pow(beta2, t));
    },
    passes: [
      {
        sums: 0,
        run({ weight, gradient, state: [m, v, maximum] }, begin, end) {
          const at = begin * 4;
          const largest = maximum === undefined ? 0 : maximum + at;
          // prettier-ignore
          kernels.adam(
            weight + at, gradient + at, m + at, v + at, largest, end - begin,
            sign, coupled, shrink, 1 - beta1, beta2, 1 - beta2, stepSize, root2, options.eps,
          );
        },
      },
    ],
  };
}
