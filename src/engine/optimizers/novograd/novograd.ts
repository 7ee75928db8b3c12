import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * NovoGrad: momentum over gradients that are divided by the norm of their tensor. The second moment
 * is one number per tensor.
 *
 *     v = ‖g‖² at the first step, then β₂ v + (1 − β₂) ‖g‖²
 *     u = g/(√(v + eps_root) + eps) + weight_decay · x
 *     m = u at the first step, then β₁ m + u
 *     x = x − lr · m
 *
 * It takes three passes: the norms, the second moments, the step. m is a sum, not an average: with
 * β₁ = 0.9 it grows to ten times u. Ginsburg et al., "Stochastic gradient methods with layer-wise
 * adaptive moments for training of deep networks" (arXiv:1905.11286), algorithm 1. Semantics of
 * `optax.novograd`.
 *
 * A gradient of [3, 4] has the norm 5. With lr = 0.1 the weights move by 0.06 and 0.08, and by 1.9
 * times as much at the next step.
 */
export const novograd = defineOptimizer({
  type: "novograd",
  summary:
    "Gradients divided by their tensor's norm, with momentum: little memory, for large batches and speech models.",
  formula: "v = β₂v + (1−β₂)‖g‖²; m = β₁m + g/(√(v + eps_root) + eps) + weight_decay·x; x −= lr·m",
  source: "Ginsburg et al. 2019, arXiv:1905.11286; optax.novograd",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.25],
      min: 0,
      below: 1,
      doc: "Decay of the momentum and of the squared norm.",
    },
    eps: { kind: "number", default: 1e-6, min: 0, tries: [0.01], doc: "Added to the denominator." },
    eps_root: { kind: "number", default: 0, min: 0, doc: "Added under the root." },
    weight_decay: { kind: "number", default: 0, min: 0, doc: "Share of each weight that is added to the direction." },
  },
  cycledOption: "betas",
  state: () => [...zeros("exp_avg"), { name: "exp_avg_sq", initial: 0, shape: [] }],
  create(kernels, { betas: [own, beta2], eps, eps_root: epsRoot, weight_decay: decay }) {
    let beta1 = own;
    let rate = 0;
    let first = false;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        rate = lr;
        first = t === 1;
      },
      passes: [
        {
          sums: 1,
          run({ gradient }, begin, end, sums) {
            kernels.f64[sums >>> 3] = kernels.norm_part(gradient + begin * 4, end - begin, 2);
          },
        },
        {
          over: "tensors",
          cost: () => 1,
          run({ state: [, v], sums: [square] }) {
            const before = kernels.f32[v >>> 2];
            kernels.f32[v >>> 2] = first ? square : (1 - beta2) * square + beta2 * before;
          },
        },
        {
          run({ weight, gradient, state: [m, v] }, begin, end) {
            const at = begin * 4;
            const denominator = Math.sqrt(kernels.f32[v >>> 2] + epsRoot) + eps;
            // prettier-ignore
            kernels.novograd(
              weight + at, gradient + at, m + at, end - begin, denominator, decay, first ? 0 : beta1, rate,
            );
          },
        },
      ],
    };
  },
});
