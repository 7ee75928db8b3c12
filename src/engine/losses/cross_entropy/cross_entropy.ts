import { defineLoss, LossFault } from "../loss.ts";

/** No class' index. */
const NONE = -1;

/**
 * Cross entropy of the softmax of logits. The targets are class indices or, given `probabilities`,
 * a probability for every class.
 *
 * As in PyTorch the mean over class indices divides by the sum of the targets' class weights (label
 * smoothing does not change it), and that over probabilities by the number of samples. Samples of
 * `ignore_class`, and those whose target is no class at all (PyTorch marks them −100), count for
 * nothing. Unlike in PyTorch, which then divides 0 by 0, the mean over nothing but such samples is
 * 0.
 */
export const cross_entropy = defineLoss({
  type: "cross_entropy",
  summary:
    "The usual loss of classification: softmax and negative log-likelihood in one; one output, a logit, per class.",
  formula:
    "−Σ_c weight_c · q_c · ln softmax(x)_c, q = (1 − label_smoothing) · onehot(target) + label_smoothing / classes",
  source: "torch.nn.CrossEntropyLoss",
  options: {
    label_smoothing: {
      kind: "number",
      default: 0,
      min: 0,
      max: 1,
      doc: "The share of each target that is spread evenly over all classes.",
    },
    weight: {
      kind: "class_numbers",
      default: null,
      doc: 'Weights by class, as in {"rare": 5}; classes left out weigh 1.',
    },
    ignore_class: {
      kind: "class",
      default: null,
      doc: "A class whose samples count for nothing (PyTorch's ignore_index, by name).",
    },
  },
  targets: "class",
  outputs({ classes }) {
    if (classes === null) throw new LossFault(null, "needs a target with classes");
    return classes;
  },
  terms: () => 1,
  create(kernels, options, place) {
    const { outputs, constants, classes } = place;
    const indexOf = (name: string): number => {
      const index = classes?.indexOf(name) ?? NONE;
      if (index === NONE) throw new RangeError(`"${name}" is no class of the target`);
      return index;
    };
    const weights = kernels.f32.subarray(constants >>> 2, (constants >>> 2) + outputs);
    weights.fill(1);
    for (const [name, weight] of Object.entries(options.weight ?? {})) weights[indexOf(name)] = weight;
    const ignored = options.ignore_class === null ? NONE : indexOf(options.ignore_class);
    const probabilities = Number(place.probabilities ?? false);
    const row = outputs * 4;
    const targetRow = probabilities ? row : 4;
    return {
      divisor(samples, target) {
        if (probabilities) return samples;
        let sum = 0;
        for (let sample = 0; sample < samples; sample++) {
          const index = target(sample);
          if (index !== ignored && index >= 0 && index < outputs) sum += weights[index];
        }
        return sum;
      },
      run(begin, end, scale) {
        kernels.cross_entropy(
          place.prediction + begin * row,
          place.target + begin * targetRow,
          probabilities,
          constants,
          place.terms + begin * 4,
          scale === 0 ? 0 : place.gradient + begin * row,
          end - begin,
          outputs,
          options.label_smoothing,
          ignored,
          scale,
        );
      },
    };
  },
});
