import { mean, type EvaluatedRows } from "./rows.ts";

/*
 * What the rows of an evaluation say beyond single metrics: which classes are taken for which, or
 * how far predictions are off. It is plain data, small whatever the number of rows.
 */

/** There is a matrix of all pairs for so many classes at most. */
export const MAX_MATRIX_CLASSES = 100;

/** Shares of the errors that are at most as large as the quantile. */
export const QUANTILES = [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1] as const;

export interface ClassReport {
  /** Of each class the weight of the rows that have it, that are taken for it, and both. */
  readonly present: readonly number[];
  readonly predicted: readonly number[];
  readonly right: readonly number[];
  /**
   * The weight of the rows of each class, by the class that they are taken for. Null if there are
   * too many classes.
   */
  readonly confusion: readonly (readonly number[])[] | null;
}

/** Of a column of values, in the data's units. */
export interface ValueReport {
  /** Prediction − target, at `QUANTILES`. Each counts once, whatever its weight. */
  readonly residuals: readonly number[];
  readonly mae: number;
  readonly rmse: number;
  /** As the metric r2 has it. */
  readonly r2: number;
}

export interface EvaluationReport {
  /** Targets that were evaluated: of each row one, or as many as it has. */
  readonly targets: number;
  /** Null if the targets are values, or probabilities between 0 and 1. */
  readonly classes: ClassReport | null;
  /** For each column of values, or one for all values of an array. */
  readonly values: readonly ValueReport[] | null;
}

/** @param columns how many columns of values have a report of their own */
export function reportOf(rows: EvaluatedRows, columns: number): EvaluationReport {
  const targets = rows.of("target").length;
  if (rows.classes !== null) return { targets, classes: classReport(rows, rows.classes), values: null };
  const values = Array.from({ length: columns }, (_, column) => valueReport(rows, column, columns));
  return { targets, classes: null, values };
}

function classReport(rows: EvaluatedRows, classes: number): ClassReport | null {
  if (rows.counts === null) return null;
  const { present, predicted, right } = rows.counts;
  const [targets, predictions] = [rows.of("target"), rows.of("prediction")];
  const confusion =
    classes > MAX_MATRIX_CLASSES ? null : Array.from({ length: classes }, () => Array<number>(classes).fill(0));
  if (confusion !== null)
    for (let i = 0; i < targets.length; i++) confusion[targets[i]][predictions[i]] += rows.weights[i];
  return { present: [...present], predicted: [...predicted], right: [...right], confusion };
}

function valueReport(rows: EvaluatedRows, column: number, columns: number): ValueReport {
  const [allTargets, allPredictions] = [rows.of("target"), rows.of("prediction")];
  const std = rows.std(column);
  const ofColumn = (values: Float64Array) => values.filter((_, i) => i % columns === column);
  const [targets, predictions, weights] = [allTargets, allPredictions, rows.weights].map(ofColumn);
  const errors = predictions.map((prediction, i) => (prediction - targets[i]) * std);
  const squares = mean(
    errors.map((error) => error * error),
    weights,
  );
  const average = mean(targets, weights);
  const variance = mean(
    targets.map((target) => (target - average) * std * ((target - average) * std)),
    weights,
  );
  return {
    mae: mean(errors.map(Math.abs), weights),
    rmse: Math.sqrt(squares),
    r2: 1 - (variance === 0 ? Math.sign(squares) : squares / variance),
    residuals: quantilesOf(errors.sort()),
  };
}

/** Between two values a quantile is on the straight line, as numpy.quantile has it. */
function quantilesOf(sorted: Float64Array): number[] {
  return QUANTILES.map((share) => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const rest = place - below;
    return rest === 0 ? sorted[below] : sorted[below] + rest * (sorted[below + 1] - sorted[below]);
  });
}
