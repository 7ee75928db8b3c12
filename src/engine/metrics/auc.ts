import { defineMetric, whyNoClass, whyNoScores } from "./metric.ts";
import type { EvaluatedRows } from "./rows.ts";

/** Counts pairs of rows, which is exact. */
export const auc = defineMetric({
  type: "auc",
  better: "max",
  of: "class",
  ofProbabilities: true,
  meaning:
    "area under the ROC curve: of two classes that of the second; of more the mean over the classes of each against the rest; ties count half",
  whyUndefined(facts) {
    const { targets } = facts;
    const why = whyNoScores(facts) ?? whyNoClass(facts);
    return why ?? (targets && !targets.vary ? "all rows that validate are of one class" : null);
  },
  compute: areaOf,
});

/**
 * The area of the second of two classes, or the mean over the classes that are present. NaN if
 * fewer than two classes are present, or if there are no scores.
 */
function areaOf(rows: EvaluatedRows): number {
  const { classes, scores, counts } = rows;
  const targets = rows.of("target");
  const perRow = scores.length / targets.length;
  if (counts === null || perRow === 0) return Number.NaN;
  const { present } = counts;
  const those = Array.from(present.keys()).filter((i) => present[i] > 0);
  if (those.length < 2) return Number.NaN;
  if (classes === 2) return areaAgainstRest(scores, 1, 0, targets, 1, present[1]);
  const areas = those.map((i) => areaAgainstRest(scores, perRow, i, targets, i, present[i]));
  return areas.reduce((sum, area) => sum + area, 0) / areas.length;
}

/**
 * Of all pairs of a row of the class and a row of the rest: the part in which the row of the class
 * has the higher score. An equal score counts half.
 */
function areaAgainstRest(
  scores: Float32Array,
  perRow: number,
  column: number,
  targets: Float64Array,
  wanted: number,
  count: number,
): number {
  const own = new Float32Array(count);
  const rest = new Float32Array(targets.length - count);
  for (let row = 0, ownAt = 0, restAt = 0; row < targets.length; row++) {
    const score = scores[row * perRow + column];
    if (targets[row] === wanted) own[ownAt++] = score;
    else rest[restAt++] = score;
  }
  own.sort();
  rest.sort();
  // NaN sorts last.
  if (Number.isNaN(own[own.length - 1]) || Number.isNaN(rest[rest.length - 1])) return Number.NaN;
  let below = 0;
  let upTo = 0;
  let twice = 0;
  for (const score of own) {
    while (rest[below] < score) below++;
    while (rest[upTo] <= score) upTo++;
    twice += below + upTo;
  }
  return twice / (2 * own.length * rest.length);
}
