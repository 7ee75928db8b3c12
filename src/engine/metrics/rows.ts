/** What an evaluation records of each row. */
export type Recorded = "loss" | "divisor" | "target" | "prediction" | "log_loss";

export interface EvaluatedData {
  /** The number of classes; null if the target is a value. */
  readonly classes: number | null;
  /** Of values: how many a row has. They are recorded one after the other. */
  readonly columns: number;
  /** What turns errors of a value into the data's units: for each column, or one for all. */
  readonly std: readonly number[];
  /** For each row as many as `scoresPerRow` says; empty if none are recorded. */
  readonly scores: Float32Array;
  /** How much each target counts; by default each counts 1. */
  readonly weights?: Float64Array;
  /** One number of each target. The prediction of a class is its index. */
  read(what: Recorded): Float64Array;
  /** e to the power of x, the same on every host. */
  exp(x: number): number;
}

/** The weight of the rows of which each class is there, is predicted, and is rightly predicted. */
export interface ClassCounts {
  readonly present: Float64Array;
  readonly predicted: Float64Array;
  readonly right: Float64Array;
  readonly rightRows: number;
}

/**
 * The rows of an evaluation, as metrics read them. Every sum over them runs in ascending order, so
 * that no metric depends on which thread evaluated which row. What several metrics need is computed
 * once.
 *
 * A row of weight n counts like n rows, as with scikit-learn's `sample_weight`. Sums of weights of
 * 1 are exact, so that weights of 1 change no bit.
 */
export class EvaluatedRows {
  readonly classes: number | null;
  readonly columns: number;
  readonly scores: Float32Array;
  readonly exp: (x: number) => number;
  readonly #data: EvaluatedData;
  readonly #read = new Map<Recorded, Float64Array>();
  #weights: Float64Array | undefined;
  #counts: ClassCounts | null | undefined;

  constructor(data: EvaluatedData) {
    this.#data = data;
    this.classes = data.classes;
    this.columns = data.columns;
    this.scores = data.scores;
    this.exp = (x) => data.exp(x);
    this.#weights = data.weights;
  }

  /** How much each target counts. */
  get weights(): Float64Array {
    return (this.#weights ??= new Float64Array(this.of("target").length).fill(1));
  }

  of(what: Recorded): Float64Array {
    const known = this.#read.get(what) ?? this.#data.read(what);
    this.#read.set(what, known);
    return known;
  }

  /** What turns errors in a column into the data's units. */
  std(column: number): number {
    const { std } = this.#data;
    return std.length === 1 ? std[0] : std[column];
  }

  /** Null if a target is a probability between 0 and 1, which is no class. */
  get counts(): ClassCounts | null {
    if (this.#counts === undefined) this.#counts = this.#count();
    return this.#counts;
  }

  #count(): ClassCounts | null {
    const [targets, predictions] = [this.of("target"), this.of("prediction")];
    if (!targets.every(Number.isInteger)) return null;
    const [present, predicted, right] = [0, 0, 0].map(() => new Float64Array(this.classes!));
    let rightRows = 0;
    for (let row = 0; row < targets.length; row++) {
      const weight = this.weights[row];
      present[targets[row]] += weight;
      predicted[predictions[row]] += weight;
      if (targets[row] !== predictions[row]) continue;
      right[targets[row]] += weight;
      rightRows += weight;
    }
    return { present, predicted, right, rightRows };
  }
}

/**
 * The mean over the classes of what `value` says of a class. A class that is neither there nor
 * predicted does not count. NaN if there are no classes.
 */
export function classMean(
  { counts }: EvaluatedRows,
  value: (right: number, present: number, predicted: number) => number,
): number {
  if (counts === null) return Number.NaN;
  const { present, predicted, right } = counts;
  let sum = 0;
  let seen = 0;
  for (let i = 0; i < present.length; i++) {
    if (present[i] + predicted[i] === 0) continue;
    sum += value(right[i], present[i], predicted[i]);
    seen++;
  }
  return sum / seen;
}

export function meanLogLoss(rows: EvaluatedRows): number {
  return mean(rows.of("log_loss"), rows.weights);
}

/** What `value` says of each column of values: the weighted mean of its terms over the rows. */
export function columnMeans(rows: EvaluatedRows, value: (target: number, prediction: number) => number): Float64Array {
  const [targets, predictions] = [rows.of("target"), rows.of("prediction")];
  const { columns } = rows;
  const sums = new Float64Array(columns);
  for (let i = 0; i < targets.length; i++) sums[i % columns] += rows.weights[i] * value(targets[i], predictions[i]);
  // All targets of a row have its weight.
  const weight = sum(rows.weights) / columns;
  return sums.map((sum) => sum / weight);
}

export function mean(values: Float64Array, weights: Float64Array): number {
  let weighed = 0;
  for (let i = 0; i < values.length; i++) weighed += weights[i] * values[i];
  return weighed / sum(weights);
}

export function meanOfColumns(values: Float64Array): number {
  return sum(values) / values.length;
}

export function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
