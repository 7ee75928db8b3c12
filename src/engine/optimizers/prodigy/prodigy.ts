import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer } from "../optimizer.ts";

const prodigyOptions = {
  lr: {
    kind: "number",
    default: 1,
    min: 0,
    tries: [0.02],
    doc: "Factor of the rate that is found: leave it at 1, or let a schedule move it from 1.",
  },
  betas: {
    kind: "numbers",
    length: 2,
    default: [0.9, 0.999],
    min: 0,
    below: 1,
    doc: "Decay of the averages of the gradient and of its square.",
  },
  beta3: {
    kind: "number",
    default: null,
    min: 0,
    below: 1,
    doc: "Decay of the sums that the rate is computed from; null: the root of the second beta.",
  },
  eps: {
    kind: "number",
    default: 1e-8,
    min: 0,
    tries: [0.01],
    doc: "Added to the denominator after it is multiplied by the rate that was found.",
  },
  weight_decay: {
    kind: "number",
    default: 0,
    min: 0,
    doc: "Decoupled weight decay: every step takes the rate times this share off each weight.",
  },
  d0: {
    kind: "number",
    default: 1e-6,
    above: 0,
    tries: [0.01],
    doc: "Initial estimate of the rate; one that is too small does less harm than one that is too large.",
  },
  d_coef: { kind: "number", default: 1, above: 0, doc: "Factor of the estimates of the rate." },
  use_bias_correction: {
    kind: "boolean",
    default: false,
    doc: "Correct the averages of the first steps, as Adam does.",
  },
} as const satisfies Options;

/**
 * Prodigy: Adam that finds its own learning rate, from how far the weights have moved from their
 * initial values.
 *
 *     m = β₁ m + (1 − β₁) d g
 *     v = β₂ v + (1 − β₂) d² g²
 *     r = β₃ r + (1 − β₃) γ d² ⟨g, x₀ − x⟩  γ = lr, with use_bias_correction · √(1 − β₂ᵗ)/(1 − β₁ᵗ)
 *     s = β₃ s + (1 − β₃) γ d² g
 *     d' = max(d, d_coef · r/‖s‖₁)
 *     x = x · (1 − γ d · weight_decay) − γ d m/(√v + d eps)
 *
 * r and ‖s‖₁ are sums over the whole model, so there are two passes. The next step uses d'.
 * Mishchenko & Defazio, "Prodigy: an expeditiously adaptive parameter-free learner", ICML 2024
 * (arXiv:2306.06101), algorithm 4; names are those of the authors' package.
 *
 * At the first step x = x₀, and so r = 0. The step moves every weight by about d0 times 1/√10. From
 * then on d can grow by any factor in one step.
 */
export const prodigy = defineOptimizer({
  type: "prodigy",
  summary: "Adam that finds its own learning rate: leave lr at 1.",
  formula: "d = max(d, d_coef·Σ⟨g, x₀−x⟩/‖Σg‖₁), weighted sums; x −= lr·d · m/(√v + d·eps), m and v of d·g",
  source: "Mishchenko & Defazio 2024, arXiv:2306.06101",
  options: prodigyOptions,
  wholeModel: true,
  cycledOption: "betas",
  state: () => [...zeros("exp_avg", "exp_avg_sq", "s"), { name: "p0", initial: "parameter" }],
  create: (kernels, options) => createProdigy(kernels, options, false),
});

/** `newEps`: eps is multiplied by the new d (optax), not by the d that the step uses. */
export function createProdigy(kernels: Kernels, options: ValuesOf<typeof prodigyOptions>, newEps: boolean): Optimizer {
  const { eps, weight_decay: decay, d_coef: coefficient, use_bias_correction: corrected } = options;
  const [own, beta2] = options.betas;
  const beta3 = options.beta3 ?? Math.sqrt(beta2);
  const scalars = { d: options.d0, d_numerator: 0 };
  let beta1 = own;
  let d = 0;
  let rate = 0;
  let share = 0;
  return {
    scalars,
    begin(t, lr, momentum) {
      beta1 = momentum ?? own;
      d = scalars.d;
      const correction = corrected ? Math.sqrt(1 - kernels.pow(beta2, t)) / (1 - kernels.pow(beta1, t)) : 1;
      rate = d * lr * correction;
      share = (1 - beta3) * d * rate;
    },
    passes: [
      {
        sums: 2,
        run({ weight, gradient, state: [m, v, s, x0] }, begin, end, sums) {
          const at = begin * 4;
          // prettier-ignore
          kernels.prodigy_moments(
            weight + at, gradient + at, m + at, v + at, s + at, x0 + at, sums, end - begin,
            beta1, (1 - beta1) * d, beta2, (1 - beta2) * d * d, beta3, share,
          );
        },
        settle([product, size]) {
          scalars.d_numerator = beta3 * scalars.d_numerator + share * product;
          if (size > 0) scalars.d = Math.max(d, (coefficient * scalars.d_numerator) / size);
        },
      },
      {
        run({ weight, state: [m, v] }, begin, end) {
          const at = begin * 4;
          const least = eps * (newEps ? scalars.d : d);
          kernels.prodigy_step(weight + at, m + at, v + at, end - begin, 1 - rate * decay, least, rate);
        },
      },
    ],
  };
}
