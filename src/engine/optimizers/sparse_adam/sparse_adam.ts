import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Sparse Adam: Adam that skips the rows of an embedding that a batch does not use. The averages of
 * such a row do not decay, and its weights do not drift.
 *
 *     for rows that the batch uses:
 *     m = β₁ m + (1 − β₁) g
 *     v = β₂ v + (1 − β₂) g²
 *     x = x − lr · √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + eps)
 *
 * t counts all steps, not those of a row. Kingma & Ba 2015. Semantics of `torch.optim.SparseAdam`,
 * which refuses parameters whose gradient is not sparse. Here it takes those of other layers too,
 * since a model has one optimizer. Of these it skips rows whose gradient is all zeros.
 *
 * A row that is first used at step 1000 moves by lr · √0.632/1 · 0.1/√0.001 = 2.5 · lr: the
 * corrections take its averages to be 1000 steps old.
 */
export const sparse_adam = defineOptimizer({
  type: "sparse_adam",
  summary: "Adam for embeddings: rows that a batch does not use stay as they are.",
  formula: "for rows that the batch uses: m, v as adam; x −= lr · √(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√v + eps)",
  source: "Kingma & Ba 2015; torch.optim.SparseAdam",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Decay of the averages of the gradient and of its square.",
    },
    eps: {
      kind: "number",
      default: 1e-8,
      min: 0,
      tries: [0.01],
      doc: "Added to the root of the uncorrected second moment.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  cycledOption: "betas",
  sparse: () => true,
  torch: { name: "SparseAdam" },
  state: () => zeros("exp_avg", "exp_avg_sq"),
  create(kernels, { betas: [own, beta2], eps, maximize }) {
    const sign = maximize ? -1 : 1;
    let beta1 = own;
    let stepSize = 0;
    return {
      begin(t, lr, momentum) {
        beta1 = momentum ?? own;
        stepSize = (lr * Math.sqrt(1 - kernels.pow(beta2, t))) / (1 - kernels.pow(beta1, t));
      },
      passes: [
        {
          over: "rows",
          run({ weight, gradient, length, shape, sparse, state: [m, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.sparse_adam(
              weight + at, gradient + at, m + at, v + at, end - begin, length / shape[0], Number(sparse),
              sign, 1 - beta1, 1 - beta2, eps, stepSize,
            );
          },
        },
      ],
    };
  },
});
