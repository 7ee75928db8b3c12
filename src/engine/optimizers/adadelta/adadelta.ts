import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Adadelta: RMSprop whose rate follows the size of its own recent steps. A step therefore has the
 * unit of the weights.
 *
 *     g = ∇f(x) + weight_decay · x
 *     v = rho · v + (1 − rho) · g²
 *     d = √(a + eps)/√(v + eps) · g
 *     a = rho · a + (1 − rho) · d²
 *     x = x − lr · d
 *
 * Zeiler, "ADADELTA: an adaptive learning rate method" (arXiv:1212.5701), algorithm 1. Semantics of
 * `torch.optim.Adadelta`: eps is inside both roots, and the average takes d without lr.
 *
 * It starts slowly because a starts at 0. With the defaults and a gradient of 2 the first step is
 * √1e-6/√0.4 · 2 = 0.0032.
 */
export const adadelta = defineOptimizer({
  type: "adadelta",
  summary: "Needs no choice of a learning rate, but starts slowly; of historical interest.",
  formula: "v = rho·v + (1−rho)g²; d = √(a+eps)/√(v+eps)·g; a = rho·a + (1−rho)d²; x −= lr·d",
  source: "Zeiler 2012, arXiv:1212.5701; torch.optim.Adadelta",
  options: {
    lr: { kind: "number", default: 1, min: 0, tries: [0.02], doc: "Factor by which steps are multiplied." },
    rho: { kind: "number", default: 0.9, min: 0, max: 1, tries: [0.7], doc: "Decay of both averages." },
    eps: { kind: "number", default: 1e-6, min: 0, tries: [0.01], doc: "Added under both roots." },
    weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  torch: { name: "Adadelta" },
  state: () => zeros("square_avg", "acc_delta"),
  create(kernels, { rho, eps, weight_decay: coupled, maximize }) {
    const sign = maximize ? -1 : 1;
    let rate = 0;
    return {
      begin(_t, lr) {
        rate = lr;
      },
      passes: [
        {
          run({ weight, gradient, state: [v, a] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.adadelta(
              weight + at, gradient + at, v + at, a + at, end - begin, sign, coupled, rho, 1 - rho, eps, rate,
            );
          },
        },
      ],
    };
  },
});
