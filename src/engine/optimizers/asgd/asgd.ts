import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Averaged stochastic gradient descent: plain steps under a falling rate. Beside the weights it
 * keeps their average since step t0.
 *
 *     g = ∇f(x) + weight_decay · x
 *     x = x · (1 − lambd · η) − η · g
 *     a = x until step t0, then a + μ (x − a)
 *     η = lr/(1 + lambd · lr · t)^alpha                        μ = 1/max(1, t − t0)
 *
 * The average is `ax` in the checkpoint, as in PyTorch. The weights that are evaluated and served
 * are x. Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
 * Control Optim. 30 (1992). Semantics of `torch.optim.ASGD`.
 *
 * Each step uses the η and μ that the step before computed; the first η is lr. With lr = 0.1 and a
 * gradient of 1 a weight goes 0 → −0.1 → −0.2 (nearly).
 */
export const asgd = defineOptimizer({
  type: "asgd",
  summary: "Gradient descent that also averages its path: for convex problems with much noise.",
  formula: "x = x(1 − lambd·η) − η·g; ax += μ(x − ax); η = lr/(1 + lambd·lr·t)^alpha, μ = 1/max(1, t − t0)",
  source: "Polyak & Juditsky 1992; torch.optim.ASGD",
  options: {
    lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Learning rate." },
    lambd: { kind: "number", default: 1e-4, min: 0, doc: "Decay of the weights and of the rate." },
    alpha: { kind: "number", default: 0.75, min: 0, tries: [0.9], doc: "Power with which the rate falls." },
    t0: { kind: "number", default: 1e6, min: 0, tries: [2], doc: "Step at which averaging begins." },
    weight_decay: { kind: "number", default: 0, min: 0, doc: "L2 penalty, added to the gradient." },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  torch: { name: "ASGD" },
  state: () => zeros("ax"),
  create(kernels, { lambd, alpha, t0, weight_decay: coupled, maximize }) {
    const sign = maximize ? -1 : 1;
    // η and μ of the next step.
    const scalars = { eta: 0, mu: 1 };
    let eta = 0;
    let mu = 1;
    return {
      scalars,
      begin(t, lr) {
        eta = t === 1 ? lr : scalars.eta;
        mu = scalars.mu;
        scalars.eta = lr / kernels.pow(1 + lambd * lr * t, alpha);
        scalars.mu = 1 / Math.max(1, t - t0);
      },
      passes: [
        {
          run({ weight, gradient, state: [average] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.asgd(
              weight + at, gradient + at, average + at, end - begin, sign, coupled, 1 - lambd * eta, eta, mu,
            );
          },
        },
      ],
    };
  },
});
