import { defineMetric, whyNoClass, whyNoScores } from "./metric.ts";
import { sum, type EvaluatedRows } from "./rows.ts";

/** Adds up the weights of pairs of rows; without weights it counts them, which is exact. */
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
  const perRow = scores.length / rows.weights.length;
  if (counts === null || perRow === 0) return Number.NaN;
  const { present } = counts;
  const those = Array.from(present.keys()).filter((i) => present[i] > 0);
  if (those.length < 2) return Number.NaN;
  if (classes === 2) return areaAgainstRest(rows, 1, 0, 1);
  const areas = those.map((i) => areaAgainstRest(rows, perRow, i, i));
  return areas.reduce((sum, area) => sum + area, 0) / areas.length;
}

/**
 * Of all pairs of a row of the class and a row of the rest: the part in which the row of the class
 * has the higher score. An equal score counts half, and a pair the product of its weights.
 */
function areaAgainstRest(rows: EvaluatedRows, perRow: number, column: number, wanted: number): number {
  const [own, rest] = [true, false].map((isOwn) => scoresOf(rows, perRow, column, wanted, isOwn));
  if (own.scores.some(Number.isNaN) || rest.scores.some(Number.isNaN)) return Number.NaN;
  sortByScore(own);
  sortByScore(rest);
  let [below, upTo, belowWeight, upToWeight, twice] = [0, 0, 0, 0, 0];
  for (const [i, score] of own.scores.entries()) {
    while (rest.scores[below] < score) belowWeight += rest.weights[below++];
    while (rest.scores[upTo] <= score) upToWeight += rest.weights[upTo++];
    twice += own.weights[i] * (belowWeight + upToWeight);
  }
  return twice / (2 * sum(own.weights) * sum(rest.weights));
}

interface Scored {
  scores: Float32Array;
  weights: Float64Array;
}

/** The scores for a class: of the rows that are of the class, or of the rest. */
function scoresOf(rows: EvaluatedRows, perRow: number, column: number, wanted: number, isOwn: boolean): Scored {
  const { scores, weights } = rows;
  const targets = rows.of("target");
  const found = { scores: new Float32Array(targets.length), weights: new Float64Array(targets.length) };
  let count = 0;
  for (let row = 0; row < targets.length; row++) {
    if ((targets[row] === wanted) !== isOwn) continue;
    found.scores[count] = scores[row * perRow + column];
    found.weights[count++] = weights[row];
  }
  return { scores: found.scores.subarray(0, count), weights: found.weights.subarray(0, count) };
}

/** Equal weights stay where they are, which is several times as fast. */
function sortByScore(scored: Scored): void {
  const { scores, weights } = scored;
  if (weights.every((weight) => weight === weights[0])) return void scores.sort();
  const order = Int32Array.from(scores.keys()).sort((a, b) => scores[a] - scores[b]);
  scored.scores = Float32Array.from(order, (at) => scores[at]);
  scored.weights = Float64Array.from(order, (at) => weights[at]);
}
