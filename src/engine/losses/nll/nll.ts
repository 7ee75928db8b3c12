import { defineLoss } from "../loss.ts";
import {
  classIndex,
  classPrediction,
  classTerms,
  ignoreOption,
  NO_CLASS,
  weightOption,
  writeClassWeights,
} from "../classes.ts";

/**
 * Negative log-likelihood of log-probabilities, such as log_softmax gives. What is ignored, and
 * what the mean divides by, is as in cross_entropy.
 */
export const nll = defineLoss({
  type: "nll",
  summary: "Negative log-likelihood: the outputs are log-probabilities, one per class; end with log_softmax.",
  formula: "−weight_target · x_target",
  source: "torch.nn.NLLLoss",
  options: { weight: weightOption, ignore_class: ignoreOption },
  targets: "class",
  wants: "log_probabilities",
  prediction: classPrediction,
  terms: classTerms,
  create(kernels, { weight, ignore_class }, place) {
    const { outputs, positions, constants, prediction, target, terms, gradient } = place;
    writeClassWeights(kernels, weight, place);
    const ignored = ignore_class === null ? NO_CLASS : classIndex(place, ignore_class);
    return {
      ignored,
      weighs: true,
      divisor: (targets, count, before) => kernels.class_divisor(targets, count, constants, outputs, ignored, before),
      run(begin, end, scale) {
        const first = begin * positions;
        kernels.nll(
          prediction + first * outputs * 4,
          target + first * 4,
          constants,
          terms + first * 4,
          scale === 0 || gradient === 0 ? 0 : gradient + first * outputs * 4,
          (end - begin) * positions,
          outputs,
          ignored,
          scale,
        );
      },
    };
  },
});
