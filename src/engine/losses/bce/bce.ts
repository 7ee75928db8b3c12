import { defineElementwiseLoss } from "../elementwise.ts";
import { checkOutputWeights, outputWeights, weightOption } from "../output-weights.ts";

/**
 * Binary cross entropy of probabilities, such as a sigmoid gives. As in PyTorch, a logarithm is at
 * least −100, and the derivative divides by at least 1e-12.
 */
export const bce = defineElementwiseLoss({
  type: "bce",
  summary:
    "Binary cross entropy of probabilities; end with a sigmoid. bce_with_logits does both at once and is more exact.",
  formula: "−weight · (y · max(ln x, −100) + (1 − y) · max(ln(1 − x), −100))",
  source: "torch.nn.BCELoss",
  targets: "probability",
  wants: "probabilities",
  boundary: 0.5,
  options: { weight: weightOption },
  check: checkOutputWeights,
  bind(kernels, { weight }, { outputs, constants }) {
    outputWeights(kernels, constants, weight, outputs);
    return (x, y, terms, gradient, samples, scale) =>
      kernels.bce(x, y, constants, terms, gradient, samples, outputs, scale);
  },
});
