import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer } from "../optimizer.ts";

const ademamixOptions = {
  lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
  betas: {
    kind: "numbers",
    length: 3,
    default: [0.9, 0.999, 0.9999],
    above: 0,
    below: 1,
    doc: "Decay of three averages: the fast one of the gradient, that of its square, and the slow one of the gradient.",
  },
  alpha: { kind: "number", default: 5, min: 0, tries: [1], doc: "Weight of the slow average in a step." },
  eps: { kind: "number", default: 1e-8, min: 0, tries: [0.01], doc: "Added to the denominator." },
  weight_decay: {
    kind: "number",
    default: 0,
    min: 0,
    doc: "Decoupled weight decay: every step takes lr times this share off each weight.",
  },
  alpha_warmup: { kind: "integer", default: null, min: 1, doc: "Steps over which alpha rises from 0; null: none." },
  beta3_warmup: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Steps over which the slow average's half-life grows from the fast one's; null: none.",
  },
} as const satisfies Options;

/**
 * AdEMAMix: AdamW with a second, much slower average of the gradient beside the fast one.
 *
 *     m₁ = β₁ m₁ + (1 − β₁) g
 *     m₂ = β₃(t) m₂ + (1 − β₃(t)) g
 *     v  = β₂ v + (1 − β₂) g²
 *     x  = x − lr · ((m₁/(1 − β₁ᵗ) + α(t) m₂) / (√(v/(1 − β₂ᵗ)) + eps) + weight_decay · x)
 *
 *     α(t) = alpha · min(t/alpha_warmup, 1)
 *     ln β₃(t) = ln β₁ ln β₃ / ((1 − s) ln β₃ + s ln β₁), s = min(t/beta3_warmup, 1)
 *
 * m₂ is not corrected, because it is meant to fill slowly. Without the warm-ups a slow average can
 * make early training diverge; the paper sets both to the number of steps. Pagliardini, Ablin &
 * Grangier, "The AdEMAMix optimizer: better, faster, older", ICLR 2025 (arXiv:2409.03137),
 * algorithm 1.
 *
 * At the first step without warm-up m₂ is g/10000. x moves by lr · (1 + 5/10000), nearly as under
 * Adam.
 */
export const ademamix = defineOptimizer({
  type: "ademamix",
  summary: "AdamW that also follows gradients from thousands of steps ago: for long runs.",
  formula: "x −= lr · ((m̂₁ + α(t)·m₂)/(√v̂ + eps) + weight_decay·x), m₂ = β₃(t)m₂ + (1−β₃(t))g",
  source: "Pagliardini et al. 2025, arXiv:2409.03137",
  options: ademamixOptions,
  cycledOption: "betas",
  state: () => zeros("exp_avg_fast", "exp_avg_sq", "exp_avg_slow"),
  create: (kernels, options) => createAdemamix(kernels, options, 0),
});

/** `epsRoot` is added to the corrected second moment, under the root. */
export function createAdemamix(
  kernels: Kernels,
  options: ValuesOf<typeof ademamixOptions>,
  epsRoot: number,
): Optimizer {
  const { eps, weight_decay: decay, alpha, alpha_warmup: alphaSteps, beta3_warmup: betaSteps } = options;
  const [own, beta2, beta3] = options.betas;
  const logSlow = kernels.log(beta3);
  let beta1 = own;
  let correction1 = 1;
  let correction2 = 1;
  let slow = beta3;
  let share = alpha;
  let rate = 0;
  // Goes from the fast average's factor to the slow average's. A cycled momentum may be 0.
  const slowing = (s: number) => {
    const logFast = kernels.log(Math.max(beta1, Number.MIN_VALUE));
    return kernels.exp((logFast * logSlow) / ((1 - s) * logSlow + s * logFast));
  };
  return {
    begin(t, lr, momentum) {
      beta1 = momentum ?? own;
      rate = lr;
      correction1 = 1 - kernels.pow(beta1, t);
      correction2 = 1 - kernels.pow(beta2, t);
      share = alphaSteps === null ? alpha : alpha * Math.min(t / alphaSteps, 1);
      const s = betaSteps === null ? 1 : Math.min(t / betaSteps, 1);
      slow = s === 1 ? beta3 : slowing(s);
    },
    passes: [
      {
        run({ weight, gradient, state: [fast, square, old] }, begin, end) {
          const at = begin * 4;
          // prettier-ignore
          kernels.ademamix(
            weight + at, gradient + at, fast + at, square + at, old + at, end - begin,
            beta1, 1 - beta1, beta2, 1 - beta2, slow, 1 - slow, 1 / correction1, share,
            Math.sqrt(correction2), eps, epsRoot * correction2, decay, rate,
          );
        },
      },
    ],
  };
}
