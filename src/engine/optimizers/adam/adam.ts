import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer, type StateTensor } from "../optimizer.ts";

export const adamOptions = {
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
  amsgrad: { kind: "boolean", default: false, doc: "Divide by the largest second moment so far." },
  decoupled_weight_decay: {
    kind: "boolean",
    default: false,
    doc: "Apply the weight decay to the weights directly, not through the gradient: AdamW.",
  },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * Adam takes steps of about lr along each coordinate, whatever the scale of the gradient.
 *
 *     g = ∇f(x) + weight_decay · x
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     x = x − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)
 *
 * AMSGrad keeps the largest v so far and divides by its root instead. Kingma & Ba, "Adam: a method
 * for stochastic optimization", ICLR 2015 (arXiv:1412.6980), algorithm 1; Reddi et al., "On the
 * convergence of Adam and beyond", ICLR 2018. Semantics of `torch.optim.Adam`.
 *
 * The first step is easy to follow: m = (1 − β₁) g and v = (1 − β₂) g². The corrections undo both
 * factors, and x − lr · g/(|g| + eps) is left. With lr = 0.1 a weight of 1 goes to 0.9, under a
 * gradient of 3 and equally under one of 0.003.
 */
export const adam = defineOptimizer({
  type: "adam",
  summary: "Adaptive moments: a good first choice for most models.",
  formula: "m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; x −= lr · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + eps)",
  source: "Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam",
  options: adamOptions,
  cycledOption: "betas",
  torch: { name: "Adam" },
  state: adamState,
  create: (kernels, options) => createAdam(kernels, options, { decoupled: options.decoupled_weight_decay }),
});

export function adamState({ amsgrad }: { readonly amsgrad: boolean }): StateTensor[] {
  return zeros("exp_avg", "exp_avg_sq", ...(amsgrad ? ["max_exp_avg_sq"] : []));
}

type AdamOptions = Omit<ValuesOf<typeof adamOptions>, "decoupled_weight_decay">;

/** How other members of Adam's family differ from it. */
export interface AdamVariant {
  /** The weight decay acts on the weights directly, not through the gradient (AdamW). */
  readonly decoupled?: boolean;
  /**
   * `eps` is added to the root of the uncorrected second moment. The paper calls this form "epsilon
   * hat", at the end of its section 2.
   */
  readonly epsilonHat?: boolean;
  /** Added to the corrected second moment, under the root. */
  readonly epsRoot?: number;
}

export function createAdam(kernels: Kernels, options: AdamOptions, variant: AdamVariant): Optimizer {
  const { amsgrad, weight_decay: decay, eps } = options;
  const { decoupled = false, epsilonHat = false, epsRoot = 0 } = variant;
  const beta2 = options.betas[1];
  const sign = options.maximize ? -1 : 1;
  const coupled = decoupled ? 0 : decay;
  let beta1 = options.betas[0];
  let shrink = 1;
  let stepSize = 0;
  let correction2 = 1;
  return {
    begin(t, lr, momentum) {
      beta1 = momentum ?? options.betas[0];
      if (decoupled) shrink = 1 - lr * decay;
      stepSize = lr / (1 - kernels.pow(beta1, t));
      correction2 = 1 - kernels.pow(beta2, t);
    },
    passes: [
      {
        run({ weight, gradient, state: [m, v, maximum] }, begin, end) {
          const at = begin * 4;
          const root2 = Math.sqrt(correction2);
          // prettier-ignore
          kernels.adam(
            weight + at, gradient + at, m + at, v + at, amsgrad ? maximum + at : 0, end - begin,
            sign, coupled, shrink, 1 - beta1, beta2, 1 - beta2, stepSize, root2,
            epsilonHat ? eps / root2 : eps, epsRoot * correction2,
          );
        },
      },
    ],
  };
}
