/*
 * Metrics of classes, from what an evaluation recorded of each row. Every sum runs over rows or
 * classes in ascending order. The area under the ROC curve counts pairs, which is exact. So the
 * result does not depend on the order of threads.
 *
 * Cost: the area sorts the rows by their score, once for each class (n log n; about 0.2 s a million
 * scores). MAX_SCORES limits this time and the memory of the scores. With more scores the area is
 * not computed.
 */

/**
 * The largest number of scores for which the area under the ROC curve is computed: 16 MiB. Scores
 * are rows × classes; two classes have one score a row.
 */
export const MAX_SCORES = 2 ** 22;

/**
 * The number of scores that are recorded for each row to compare classes. 0: none are recorded.
 * `rows`: how many rows are evaluated.
 */
export function scoresPerRow(classes: number, rows: number): number {
  const scores = classes === 2 ? 1 : classes;
  return rows * scores <= MAX_SCORES ? scores : 0;
}

/**
 * What an evaluation knows of its rows: for each row its class (with two classes it may be a
 * probability), the predicted class, and its scores.
 */
export interface ClassifiedRows {
  readonly classes: number;
  readonly targets: Float64Array;
  readonly decided: Float64Array;
  readonly scores: Float32Array;
}

const UNDEFINED = { accuracy: NaN, macro_f1: NaN, precision: NaN, recall: NaN, auc: NaN };

/**
 * Accuracy; F1, precision and recall, each as the mean over the classes; and the area. A class that
 * is neither present nor predicted does not count. All are undefined if a target is a probability
 * between 0 and 1, which is no class.
 */
export function classification(rows: ClassifiedRows): Record<string, number> {
  const { classes, targets, decided } = rows;
  if (!targets.every(Number.isInteger)) return UNDEFINED;
  const present = new Float64Array(classes);
  const predicted = new Float64Array(classes);
  const right = new Float64Array(classes);
  let rightRows = 0;
  for (let row = 0; row < targets.length; row++) {
    present[targets[row]]++;
    predicted[decided[row]]++;
    if (targets[row] !== decided[row]) continue;
    right[targets[row]]++;
    rightRows++;
  }
  let f1 = 0;
  let precision = 0;
  let recall = 0;
  let seen = 0;
  for (let i = 0; i < classes; i++) {
    if (present[i] + predicted[i] === 0) continue;
    f1 += (2 * right[i]) / (present[i] + predicted[i]);
    precision += right[i] / (predicted[i] || 1);
    recall += right[i] / (present[i] || 1);
    seen++;
  }
  return {
    accuracy: rightRows / targets.length,
    macro_f1: f1 / seen,
    precision: precision / seen,
    recall: recall / seen,
    auc: areaOf(rows, present),
  };
}

/**
 * The area under the ROC curve of the second of two classes, or the mean over the classes that are
 * present. NaN if fewer than two classes are present, or if there are no scores.
 */
function areaOf({ classes, targets, scores }: ClassifiedRows, present: Float64Array): number {
  const perRow = scores.length / targets.length;
  const those = Array.from(present.keys()).filter((i) => present[i] > 0);
  if (perRow === 0 || those.length < 2) return Number.NaN;
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
