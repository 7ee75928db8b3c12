import { defineMetric, whyNoClass, whyNoScores } from "./metric.ts";
import { sum } from "./rows.ts";

/** Of equal scores the first counts as higher, as in `accuracy`. A score of NaN is never right. */
export const top5_accuracy = defineMetric({
  type: "top5_accuracy",
  better: "max",
  of: "class",
  ofProbabilities: true,
  leastClasses: 6,
  meaning: "part of the rows whose class is among the five with the highest scores; only of more than five classes",
  whyUndefined: (facts) => whyNoScores(facts) ?? whyNoClass(facts),
  compute(rows) {
    const { scores, counts, weights } = rows;
    if (counts === null || scores.length === 0) return Number.NaN;
    const targets = rows.of("target");
    const classes = counts.present.length;
    let right = 0;
    for (let row = 0; row < targets.length; row++) {
      const first = row * classes;
      if (higher(scores, first, first + classes, first + targets[row]) < 5) right += weights[row];
    }
    return right / sum(weights);
  },
});

/** How many of the scores begin..end are higher than the one at `own`. */
function higher(scores: Float32Array, begin: number, end: number, own: number): number {
  const score = scores[own];
  let count = 0;
  for (let at = begin; at < own; at++) if (!(scores[at] < score)) count++;
  for (let at = own + 1; at < end; at++) if (!(scores[at] <= score)) count++;
  return count;
}
