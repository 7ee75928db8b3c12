/** What is computed from the training rows of a column: in double, in one fixed order. */
import { MISSING_CODE } from "../columns/column.ts";
import type { NumericEncoder, Preprocess } from "./encoding.ts";

export type Statistics = Pick<NumericEncoder, "mean" | "std" | "min" | "max">;

/** The part of each row that is looked at: `begin` to `end` of `width` values. */
interface Span {
  readonly width: number;
  readonly begin: number;
  readonly end: number;
}

const ONE_A_ROW: Span = { width: 1, begin: 0, end: 1 };

/**
 * Statistics of the values in the given rows, without missing ones. If all values are equal, the
 * deviation is given as 1 and the mean is that value. Both would have rounding errors if they were
 * computed, and the quotient of two rounding errors can be any number. Without any value all the
 * others are 0.
 */
export function statisticsOf(
  values: ArrayLike<number>,
  rows: Int32Array,
  { width, begin, end }: Span = ONE_A_ROW,
): Statistics {
  let count = 0;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const row of rows) {
    for (let at = row * width + begin; at < row * width + end; at++) {
      const value = values[at];
      if (Number.isNaN(value)) continue;
      count++;
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  if (count === 0) return { mean: 0, std: 1, min: 0, max: 0 };
  if (min === max) return { mean: min, std: 1, min, max };
  const mean = sum / count;
  let squares = 0;
  for (const row of rows) {
    for (let at = row * width + begin; at < row * width + end; at++) {
      const deviation = values[at] - mean;
      if (!Number.isNaN(deviation)) squares += deviation * deviation;
    }
  }
  return { mean, std: Math.sqrt(squares / count) || 1, min, max };
}

/**
 * The number that replaces a missing one; null if none may be missing. It is 0 if there are no
 * values.
 */
export function fillOf(
  values: Float64Array,
  rows: Int32Array,
  { mean }: Statistics,
  missing: Preprocess["missing"],
): number | null {
  switch (missing) {
    case "mean":
      return mean;
    case "median":
      return median(ascending(values, rows));
    case "most_frequent":
      return mostFrequent(ascending(values, rows));
    default:
      return null;
  }
}

function ascending(values: Float64Array, rows: Int32Array): Float64Array {
  const present = rows.filter((row) => !Number.isNaN(values[row]));
  return Float64Array.from(present, (row) => values[row]).sort();
}

/** For an even number of values: the mean of the middle two. */
function median(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** If several values are equally frequent: the smallest. */
function mostFrequent(sorted: Float64Array): number {
  let [best, most] = [0, 0];
  for (let begin = 0, end = 0; begin < sorted.length; begin = end) {
    while (end < sorted.length && sorted[end] === sorted[begin]) end++;
    if (end - begin > most) [best, most] = [sorted[begin], end - begin];
  }
  // Gives the positive zero.
  return best + 0;
}

/** How many of the given rows have each of `count` classes. */
export function classCounts(codes: Uint16Array, rows: Int32Array, count: number): Uint32Array {
  const counts = new Uint32Array(count);
  for (const row of rows) if (codes[row] !== MISSING_CODE) counts[codes[row]]++;
  return counts;
}
