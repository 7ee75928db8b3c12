/*
 * Scores compare the classes of a row. With two classes a row has one score, the log-odds of the
 * second class; with more, it has the logarithms of all probabilities.
 *
 * Cost: the area under the ROC curve sorts the rows by their score, once for each class (n log n;
 * about 0.2 s a million scores). MAX_SCORES limits this time and the memory of the scores. With
 * more scores none are recorded, and metrics that need them are undefined.
 */

/** The largest number of scores that an evaluation records (rows × scores of a row): 16 MiB. */
export const MAX_SCORES = 2 ** 22;

/**
 * The number of scores that are recorded for each row. 0: none are recorded. `rows`: how many rows
 * are evaluated.
 */
export function scoresPerRow(classes: number, rows: number): number {
  const scores = classes === 2 ? 1 : classes;
  return rows * scores <= MAX_SCORES ? scores : 0;
}
