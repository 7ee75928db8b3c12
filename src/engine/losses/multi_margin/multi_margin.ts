import { defineLoss } from "../loss.ts";
import { classPrediction, classTerms, NO_CLASS, weightOption, writeClassWeights } from "../classes.ts";

/**
 * Hinge loss of several classes: the output of the right class shall exceed every other by
 * `margin`. The mean divides by the number of targets, whatever their weights. Targets that are not
 * a class are ignored.
 *
 * Crammer, Singer, "On the algorithmic implementation of multiclass kernel-based vector machines",
 * JMLR 2 (2001).
 */
export const multi_margin = defineLoss({
  type: "multi_margin",
  summary: "Hinge loss of classes, as a support vector machine has: wants the right output ahead by a margin.",
  formula: "weight_target · Σ_{c ≠ target} max(0, margin − x_target + x_c)^p / classes",
  source: "torch.nn.MultiMarginLoss",
  options: {
    p: { kind: "integer", default: 1, min: 1, max: 2, tries: [2], doc: "The power that each term is raised to." },
    margin: { kind: "number", default: 1, tries: [2.5], doc: "By how much the right output should exceed the others." },
    weight: weightOption,
  },
  targets: "class",
  logLoss: false,
  prediction: classPrediction,
  terms: classTerms,
  create(kernels, { p, margin, weight }, place) {
    const { outputs, positions, constants, prediction, target, terms, gradient } = place;
    writeClassWeights(kernels, weight, place);
    const ones = constants + outputs * 4;
    kernels.f32.fill(1, ones >>> 2, (ones >>> 2) + outputs);
    return {
      weighs: true,
      divisor: (targets, count, before) => kernels.class_divisor(targets, count, ones, outputs, NO_CLASS, before),
      run(begin, end, scale) {
        const first = begin * positions;
        kernels.multi_margin(
          prediction + first * outputs * 4,
          target + first * 4,
          constants,
          terms + first * 4,
          scale === 0 || gradient === 0 ? 0 : gradient + first * outputs * 4,
          (end - begin) * positions,
          outputs,
          Number(p === 2),
          margin,
          scale,
        );
      },
    };
  },
});
