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
 * Cross entropy of the softmax of logits. The targets are class indices or, given `probabilities`,
 * a probability for every class.
 *
 * As in PyTorch, the mean over class indices divides by the sum of the class weights of the targets
 * (label smoothing does not change it), and the mean over probabilities divides by the number of
 * samples. Samples of `ignore_class` are ignored, and so are those whose target is not a class
 * (PyTorch marks them −100). If all samples are ignored the mean is 0; PyTorch divides 0 by 0
 * there.
 */
export const cross_entropy = defineLoss({
  type: "cross_entropy",
  summary:
    "The usual loss of classification: softmax and negative log-likelihood in one. The outputs are logits, one per class.",
  formula:
    "−Σ_c weight_c · q_c · ln softmax(x)_c, q = (1 − label_smoothing) · onehot(target) + label_smoothing / classes",
  source: "torch.nn.CrossEntropyLoss",
  options: {
    label_smoothing: {
      kind: "number",
      default: 0,
      min: 0,
      max: 1,
      doc: "Share of each target that is spread evenly over all classes.",
    },
    weight: weightOption,
    ignore_class: ignoreOption,
  },
  targets: "class",
  wants: "scores",
  packs: true,
  prediction: classPrediction,
  terms: classTerms,
  create(kernels, options, place) {
    const { outputs, positions, constants } = place;
    writeClassWeights(kernels, options.weight, place);
    const ignored = options.ignore_class === null ? NO_CLASS : classIndex(place, options.ignore_class);
    const probabilities = Number(place.probabilities ?? false);
    const row = outputs * 4;
    const targetRow = probabilities ? row : 4;
    return {
      ignored,
      weighs: true,
      divisor(targets, count, before) {
        if (probabilities) return before + count;
        return kernels.class_divisor(targets, count, constants, outputs, ignored, before);
      },
      run(begin, end, scale) {
        const first = begin * positions;
        kernels.cross_entropy(
          place.prediction + first * row,
          place.target + first * targetRow,
          probabilities,
          constants,
          place.terms + first * 4,
          scale === 0 || place.gradient === 0 ? 0 : place.gradient + first * row,
          (end - begin) * positions,
          outputs,
          options.label_smoothing,
          ignored,
          scale,
        );
      },
    };
  },
});
