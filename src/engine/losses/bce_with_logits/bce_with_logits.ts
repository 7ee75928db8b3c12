import { defineElementwiseLoss } from "../elementwise.ts";
import { LossFault } from "../loss.ts";

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
  options: {
    pos_weight: {
      kind: "numbers",
      length: null,
      default: null,
      min: 0,
      tries: [[0.5, 1, 1.5, 2, 2.5]],
      doc: "Weight of positive targets, one per output or one for all; above 1 it favours recall.",
    },
    weight: {
      kind: "numbers",
      length: null,
      default: null,
      min: 0,
      tries: [[3]],
      doc: "Weight of each output, or one weight for all.",
    },
  },
  check(options, outputs) {
    for (const option of ["pos_weight", "weight"] as const) {
      const length = options[option]?.length ?? 1;
      if (length === 1 || length === outputs) continue;
      throw new LossFault(option, `has ${length} numbers: give one, or one for each of the ${outputs} outputs`);
    }
  },
  bind(kernels, { pos_weight, weight }, { outputs, constants }) {
    const constantsOf = (address: number, values: readonly number[] | null) => {
      for (let i = 0; i < outputs; i++)
        kernels.f32[(address >>> 2) + i] = values === null ? 1 : values[values.length === 1 ? 0 : i];
      return address;
    };
    const positive = constantsOf(constants, pos_weight);
    const weights = constantsOf(constants + outputs * 4, weight);
    return (x, y, terms, gradient, samples, scale) =>
      kernels.bce_with_logits(x, y, positive, weights, terms, gradient, samples, outputs, scale);
  },
});
