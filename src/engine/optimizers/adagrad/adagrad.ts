import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, type Optimizer } from "../optimizer.ts";

const adagradOptions = {
  lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Learning rate." },
  lr_decay: {
    kind: "number",
    default: 0,
    min: 0,
    doc: "How fast the rate falls: at step t it is lr/(1 + (t − 1) · lr_decay).",
  },
  weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
  initial_accumulator_value: { kind: "number", default: 0, min: 0, doc: "Initial value of the sum of squares." },
  eps: { kind: "number", default: 1e-10, min: 0, tries: [0.01], doc: "Added to the denominator." },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * Adagrad divides each weight's gradient by the root of the sum of all its squares so far.
 *
 *     g = ∇f(x) + weight_decay · x
 *     s = s + g²
 *     x = x − lr/(1 + (t − 1) · lr_decay) · g/(√s + eps)
 *
 * The sum only grows, so steps shrink for good. That suits convex problems and rare features; for
 * deep networks they shrink too soon. Duchi, Hazan & Singer, "Adaptive subgradient methods for
 * online learning and stochastic optimization", JMLR 12 (2011). Semantics of `torch.optim.Adagrad`.
 *
 * With lr = 0.1 and a constant gradient of 2 a weight goes 0 → −0.1 → −0.1707 → −0.2284. Step t has
 * the length lr/√t, whatever the size of the gradient.
 */
export const adagrad = defineOptimizer({
  type: "adagrad",
  summary: "Steps that shrink with all gradients seen: for convex models and rare features.",
  formula: "s += g²; x −= lr/(1+(t−1)·lr_decay) · g/(√s + eps)",
  source: "Duchi et al. 2011; torch.optim.Adagrad",
  options: adagradOptions,
  torch: { name: "Adagrad" },
  state: ({ initial_accumulator_value: initial }) => [{ name: "sum", initial }],
  create: (kernels, options) => createAdagrad(kernels, options, false),
});

/** `epsInside`: eps is added to the sum, under the root (Keras). */
export function createAdagrad(
  kernels: Kernels,
  options: ValuesOf<typeof adagradOptions>,
  epsInside: boolean,
): Optimizer {
  const { lr_decay: decay, weight_decay: coupled, eps } = options;
  const sign = options.maximize ? -1 : 1;
  let rate = 0;
  return {
    begin(t, lr) {
      rate = lr / (1 + (t - 1) * decay);
    },
    passes: [
      {
        run({ weight, gradient, state: [sum] }, begin, end) {
          const at = begin * 4;
          // prettier-ignore
          kernels.adagrad(
            weight + at, gradient + at, sum + at, end - begin, sign, coupled,
            epsInside ? eps : 0, epsInside ? 0 : eps, rate,
          );
        },
      },
    ],
  };
}
