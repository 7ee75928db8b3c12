import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer, type StateTensor } from "../optimizer.ts";

const rmspropOptions = {
  lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Learning rate." },
  alpha: {
    kind: "number",
    default: 0.99,
    min: 0,
    max: 1,
    tries: [0.9],
    doc: "Decay of the average of the squared gradient.",
  },
  eps: { kind: "number", default: 1e-8, min: 0, tries: [0.01], doc: "Added to the denominator." },
  weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
  momentum: { kind: "number", default: 0, min: 0, doc: "Share of the step before that is kept." },
  centered: {
    kind: "boolean",
    default: false,
    doc: "Divide by the standard deviation of the gradient, not by its root mean square.",
  },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * RMSprop divides each weight's gradient by the root of its recent mean square.
 *
 *     g = ∇f(x) + weight_decay · x
 *     v = alpha · v + (1 − alpha) · g²
 *     a = alpha · a + (1 − alpha) · g                  (centered only; else 0)
 *     b = momentum · b + g / (√(v − a²) + eps)
 *     x = x − lr · b
 *
 * Tieleman & Hinton, "Neural networks for machine learning", lecture 6.5 (2012); centered: Graves,
 * arXiv:1308.0850 (2013), section 4.2. Semantics of `torch.optim.RMSprop`: eps is outside the root,
 * and the first averages are not corrected. v − a² is kept from going below 0.
 *
 * Without that correction the first step is long. With alpha = 0.99 v is g²/100, so x moves by 10 ·
 * lr, whatever the gradient is.
 */
export const rmsprop = defineOptimizer({
  type: "rmsprop",
  summary:
    "Steps scaled by the recent gradients of each weight: for recurrent networks, and for problems that are noisy or change.",
  formula: "v = alpha·v + (1−alpha)·g²; x −= lr · g / (√v + eps)",
  source: "Tieleman & Hinton 2012; torch.optim.RMSprop",
  options: rmspropOptions,
  cycledOption: "momentum",
  torch: { name: "RMSprop" },
  state: ({ momentum, centered }) => rmspropState(momentum, centered, 0),
  create: (kernels, options) => createRmsprop(kernels, options, {}),
});

/** `start`: the initial value of the mean square. */
export function rmspropState(momentum: number, centered: boolean, start: number): StateTensor[] {
  const others = zeros(...(momentum > 0 ? ["momentum_buffer"] : []), ...(centered ? ["grad_avg"] : []));
  return [{ name: "square_avg", initial: start }, ...others];
}

/** How other libraries differ. */
export interface RmspropVariant {
  /** eps is added to the mean square, under the root. */
  readonly epsInside?: boolean;
  /** The momentum buffer holds steps, which include the learning rate. */
  readonly rateInside?: boolean;
}

export function createRmsprop(
  kernels: Kernels,
  options: ValuesOf<typeof rmspropOptions>,
  { epsInside = false, rateInside = false }: RmspropVariant,
): Optimizer {
  const { alpha, eps, momentum, centered, weight_decay: coupled } = options;
  const sign = options.maximize ? -1 : 1;
  const averageAt = momentum > 0 ? 2 : 1;
  let kept = momentum;
  let rate = 0;
  return {
    begin(_t, lr, cycled) {
      kept = cycled ?? momentum;
      rate = lr;
    },
    passes: [
      {
        run({ weight, gradient, state }, begin, end) {
          const at = begin * 4;
          const average = centered ? state[averageAt] + at : 0;
          const buffer = momentum > 0 ? state[1] + at : 0;
          // prettier-ignore
          kernels.rmsprop(
            weight + at, gradient + at, state[0] + at, average, buffer, end - begin,
            sign, coupled, alpha, 1 - alpha, epsInside ? eps : 0, epsInside ? 0 : eps,
            kept, rateInside ? rate : 1, rateInside ? 1 : rate,
          );
        },
      },
    ],
  };
}
