import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, zeros, type Optimizer } from "../optimizer.ts";

const sgdOptions = {
  lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
  momentum: { kind: "number", default: 0, min: 0, doc: "Share of the direction before that is kept." },
  dampening: { kind: "number", default: 0, doc: "Share of the gradient that is kept out of the momentum buffer." },
  weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
  nesterov: { kind: "boolean", default: false, doc: "Use Nesterov's momentum." },
  maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
} as const satisfies Options;

/**
 * Stochastic gradient descent, with optional momentum.
 *
 *     g = ∇f(x) + weight_decay · x
 *     b = g at the first step, then momentum · b + (1 − dampening) · g
 *     x = x − lr · b                      (g without momentum; g + momentum · b with nesterov)
 *
 * The learning rate is not part of b, so a schedule acts at once. Sutskever et al., "On the
 * importance of initialization and momentum in deep learning", ICML 2013. Semantics of
 * `torch.optim.SGD`.
 *
 * With lr = 0.1, momentum = 0.9 and a constant gradient of 1 a weight goes 0 → −0.1 → −0.29 →
 * −0.561, while b is 1, 1.9, 2.71.
 */
export const sgd = defineOptimizer({
  type: "sgd",
  summary:
    "Plain gradient steps, with optional momentum: little memory, and often the best final accuracy with a good schedule.",
  formula: "b = momentum·b + (1−dampening)·g; x −= lr·b (g + momentum·b with nesterov)",
  source: "Sutskever et al. 2013; torch.optim.SGD",
  options: sgdOptions,
  cycledOption: "momentum",
  // To ascend would turn a weight of −0 into 0.
  sparse: ({ momentum, weight_decay, maximize }) => momentum === 0 && weight_decay === 0 && !maximize,
  torch: { name: "SGD", uncounted: true },
  state: ({ momentum }) => (momentum === 0 ? [] : zeros("momentum_buffer")),
  check({ nesterov, momentum, dampening }) {
    if (!nesterov || (momentum > 0 && dampening === 0)) return [];
    const option = momentum > 0 ? "dampening" : "momentum";
    return [{ option, message: "nesterov needs a momentum above 0 and no dampening" }];
  },
  create: (kernels, options) => createSgd(kernels, options, false),
});

/** `rateInside`: the momentum buffer holds steps, which include the learning rate (Keras). */
export function createSgd(kernels: Kernels, options: ValuesOf<typeof sgdOptions>, rateInside: boolean): Optimizer {
  const { momentum, weight_decay: coupled } = options;
  const sign = options.maximize ? -1 : 1;
  let scale = sign;
  let rate = 0;
  let lookahead = 0;
  let decay = 0;
  let share = 1;
  return {
    begin(t, lr, cycled) {
      const kept = cycled ?? momentum;
      // A buffer of steps is negated, so that it points downhill as in Keras.
      scale = rateInside ? -lr * sign : sign;
      rate = rateInside ? -1 : lr;
      lookahead = options.nesterov ? kept : 0;
      decay = t === 1 ? 0 : kept;
      share = t === 1 ? 1 : 1 - options.dampening;
    },
    passes: [
      {
        run({ weight, gradient, state: [velocity] }, begin, end) {
          const at = begin * 4;
          const buffer = momentum === 0 ? 0 : velocity + at;
          // prettier-ignore
          kernels.sgd(
            weight + at, gradient + at, buffer, end - begin, scale, coupled, decay, share, lookahead, rate,
          );
        },
      },
    ],
  };
}
