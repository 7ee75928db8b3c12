import { defineElementwiseLoss } from "../elementwise.ts";
import { checkOutputWeights, outputWeights, weightOption } from "../output-weights.ts";

/**
 * Binary cross entropy of logits: the target of each output is yes or no, or a probability from 0
 * to 1. It does not overflow, whatever the size of the logits.
 */
export const bce_with_logits = defineElementwiseLoss({
  type: "bce_with_logits",
  summary: "Binary cross entropy: one yes-or-no target per output. The outputs are logits.",
  formula: "−weight · (pos_weight · y · ln σ(x) + (1 − y) · ln(1 − σ(x))), σ(x) = 1 / (1 + exp(−x))",
  source: "torch.nn.BCEWithLogitsLoss",
  targets: "probability",
  wants: "scores",
  options: {
    pos_weight: {
      kind: "numbers",
      length: null,
      default: null,
      min: 0,
      tries: [[0.5, 1, 1.5, 2, 2.5]],
      doc: "Weight of positive targets, one per output or one for all; above 1 it favours recall.",
    },
    weight: weightOption,
  },
  answer: (output, _options, { exp }) => 1 / (1 + exp(-output)),
  check: checkOutputWeights,
  bind(kernels, { pos_weight, weight }, { outputs, constants }) {
    const positive = constants;
    const weights = constants + outputs * 4;
    outputWeights(kernels, positive, pos_weight, outputs);
    outputWeights(kernels, weights, weight, outputs);
    return (x, y, terms, gradient, samples, scale) =>
      kernels.bce_with_logits(x, y, positive, weights, terms, gradient, samples, outputs, scale);
  },
});
