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
 * Whether the values are all different, but for a few. If many values repeat, looking at a part of
 * them is enough.
 * @param values NaN for missing cells
 * @param count how many are not missing
 */
export function areAllDifferent(values: Numbers, count: number): boolean {
  const tooMany = REPEATED_SHARE * count;
  return count >= MIN_VALUES && [firstOf(values), values].every((some) => repeatedIn(some, tooMany) < tooMany);
}

/** The same for integers. Others are soon known to be none. */
export function areAllDifferentIntegers(values: Numbers, count: number): boolean {
  return areIntegers(firstOf(values)) && areAllDifferent(values, count) && areIntegers(values);
}

function firstOf(values: Numbers): Numbers {
  return values.subarray(0, Math.ceil(values.length / 8));
}

/** Values are compared within parts of about so many, which fit in a processor's cache. */
const PART_VALUES = 2 ** 12;

/**
 * How many values equal one before them, or `most` if there are more. Values are compared within
 * parts: equal ones have the same hash, so they are in the same part. The hash is another one at
 * each call: whoever knew it could make a file that takes hours.
 */
function repeatedIn(values: Numbers, most: number): number {
  if (areAscending(values)) return 0;
  const bits = Math.max(0, Math.ceil(Math.log2(values.length / PART_VALUES)));
  const { sorted, hashes, ends } = partsOf(values, hashesOf(values), bits);
  let repeated = 0;
  let table = new Float64Array(0);
  let begin = 0;
  for (const end of ends) {
    const slots = 2 ** Math.ceil(Math.log2(2 * (end - begin) + 2));
    if (slots > table.length) table = new Float64Array(slots);
    table.fill(Number.NaN, 0, slots);
    for (let i = begin; i < end; i++) {
      const value = sorted[i];
      let slot = hashes[i] & (slots - 1);
      while (table[slot] !== value && !Number.isNaN(table[slot])) slot = (slot + 1) & (slots - 1);
      if (table[slot] === value) repeated++;
      else table[slot] = value;
    }
    if (repeated >= most) return most;
    begin = end;
  }
  return repeated;
}

/** Whether each value is larger than the one before, so that none repeats. */
function areAscending(values: Numbers): boolean {
  for (let i = 1; i < values.length; i++) if (!(values[i] > values[i - 1])) return false;
  return true;
}

function hashesOf(values: Numbers): Uint32Array {
  const [factor, other, start] = crypto.getRandomValues(new Uint32Array(3));
  const double = new Float64Array(1);
  const words = new Uint32Array(double.buffer);
  const hashes = new Uint32Array(values.length);
  for (let i = 0; i < hashes.length; i++) {
    // −0 becomes 0, which is equal and has other bits.
    double[0] = values[i] + 0;
    let hash = Math.imul(words[0] ^ start, factor | 1);
    hash = Math.imul(words[1] ^ hash ^ (hash >>> 15), other | 1);
    hashes[i] = Math.imul(hash ^ (hash >>> 13), factor | 1);
  }
  return hashes;
}

/** The values that are not missing, by the first bits of their hashes, and where each part ends. */
function partsOf(values: Numbers, unsorted: Uint32Array, bits: number) {
  // A shift by 32 bits would be none.
  const partOf = (hash: number) => (hash >>> 1) >>> (31 - bits);
  const ends = new Uint32Array(2 ** bits);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    ends[partOf(unsorted[i])]++;
    count++;
  }
  let begin = 0;
  for (let part = 0; part < ends.length; part++) {
    const size = ends[part];
    ends[part] = begin;
    begin += size;
  }
  const sorted = new Float64Array(count);
  const hashes = new Uint32Array(count);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const at = ends[partOf(unsorted[i])]++;
    sorted[at] = values[i];
    hashes[at] = unsorted[i];
  }
  return { sorted, hashes, ends };
}

function areIntegers(values: Numbers): boolean {
  for (let row = 0; row < values.length; row++)
    if (!Number.isInteger(values[row]) && !Number.isNaN(values[row])) return false;
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
