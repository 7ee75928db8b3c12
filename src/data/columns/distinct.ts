import type { TensorValues } from "../tensors/elements.ts";

/** Whether the values of a column are nearly all different, as those of an id are. */

export type Numbers = Float64Array | TensorValues;

/** Fewer values may all differ by chance. */
const MIN_VALUES = 21;
/** If this share of the values repeats others, the values do not count as different. */
const REPEATED_SHARE = 0.05;

export function areNearlyAll(distinct: number, count: number): boolean {
  return count >= MIN_VALUES && count - distinct < REPEATED_SHARE * count;
}

/**
 * `values` has NaN for missing cells. If many values repeat, looking at a part of them is enough.
 */
export function areAllDifferent(values: Numbers): boolean {
  let count = 0;
  for (const value of values) if (!Number.isNaN(value)) count++;
  const part = values.subarray(0, Math.ceil(values.length / 8));
  return [part, values].every((some) => areNearlyAll(count - repeatedIn(some), count));
}

/** Sorted, since whoever knows a hash function can make a file that takes it hours. */
function repeatedIn(values: Numbers): number {
  const sorted = values.toSorted();
  let repeated = 0;
  for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) repeated++;
  return repeated;
}

export function areIntegers(values: Numbers): boolean {
  for (const value of values) if (!Number.isInteger(value) && !Number.isNaN(value)) return false;
  return true;
}

/**
 * A number that stands for a text where only differences count. It is never an integer. Two
 * different texts get the same number once in 2^51.
 */
export function fingerprint(text: string): number {
  let high = 0x9e3779b1;
  let low = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 0x01000193);
    low = (31 * low + code) | 0;
  }
  high = Math.imul(high ^ (high >>> 15) ^ (low >>> 13), 0xc2b2ae35);
  low = Math.imul(low ^ (low >>> 16) ^ (high >>> 11), 0x27d4eb2f);
  return -((high >>> 0) * 2 ** 19 + (low >>> 13)) - 0.5;
}
