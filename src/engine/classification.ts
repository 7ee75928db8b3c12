/*
 * Metrics of classes, from what an evaluation recorded of each row. Every sum runs over rows or
 * classes in ascending order, and the area under the ROC curve counts pairs, which is exact: so no
 * order of threads shows in a result.
 *
 * Cost: the area sorts the rows by their score, once for each class (n log n; about 0.2 s a million
 * scores). MAX_SCORES bounds it and the memory of the scores; beyond it the area is not computed.
 */

/**
 * The most scores, rows × classes (two classes have one score a row), of which the area under the
 * ROC curve is computed: 16 MiB.
 */
export const MAX_SCORES = 2 ** 22;

/**
 * Scores a row, with which the classes are told apart; 0: none are recorded. `rows`: how many are
 * evaluated.
 */
export function scoresPerRow(classes: number, rows: number): number {
  const scores = classes === 2 ? 1 : classes;
  return rows * scores <= MAX_SCORES ? scores : 0;
}

/**
 * What is known of the evaluated rows: for each its class, which may be a probability where there
 * are two, the class that was decided for, and its scores.
 */
export interface ClassifiedRows {
  readonly classes: number;
  readonly targets: Float64Array;
  readonly decided: Float64Array;
  readonly scores: Float32Array;
}

const UNDEFINED = { accuracy: NaN, macro_f1: NaN, precision: NaN, recall: NaN, auc: NaN };

/**
 * Accuracy; the means over the classes, without one that is neither present nor predicted, of F1,
 * precision and recall; the area. All are undefined where a target is no class but a probability
 * between.
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
 * present. NaN where there are fewer than two of these, or no scores.
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
 * The part of all pairs of a row of the class and one of the rest in which the first has the higher
 * score; an equal one counts half.
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
