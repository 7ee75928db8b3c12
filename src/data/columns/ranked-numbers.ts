/*
 * Numbers by their rank among the different ones.
 *
 * They are sorted by 16 bits at a time, the lowest first, each time in the order that the bits
 * before them gave. This takes time in proportion to the numbers, whatever they are: nobody can
 * make a file for which it takes longer.
 */

/** The rank of a number that is missing. */
export const NO_RANK = 0xffff_ffff;

export interface RankedNumbers {
  /** For each number; 0 for the lowest. */
  readonly ranks: Uint32Array;
  /** The different numbers, ascending. */
  readonly distinct: Float64Array;
}

/** @param numbers NaN where one is missing */
export function rankedNumbers(numbers: Float64Array): RankedNumbers {
  const order = ascending(numbers);
  const ranks = new Uint32Array(numbers.length).fill(NO_RANK);
  const distinct = new Float64Array(order.length);
  let count = 0;
  for (const row of order) {
    // −0 becomes 0, which is equal.
    const number = numbers[row] + 0;
    if (count === 0 || distinct[count - 1] !== number) distinct[count++] = number;
    ranks[row] = count - 1;
  }
  return { ranks, distinct: distinct.slice(0, count) };
}

/** The places of the numbers that are not missing, from the lowest number to the highest. */
function ascending(numbers: Float64Array): Uint32Array {
  const digits = digitsOf(numbers);
  let order = new Uint32Array(numbers.length);
  let count = 0;
  for (let row = 0; row < numbers.length; row++) if (!Number.isNaN(numbers[row])) order[count++] = row;
  order = order.subarray(0, count);
  // Counted before the order is a mixture of near and far rows.
  const places = Array.from({ length: DIGITS }, (_, digit) => placesOf(digits, digit, order));
  let other = new Uint32Array(count);
  for (const [digit, begins] of places.entries()) {
    if (begins === null) continue;
    for (let i = 0; i < count; i++) other[begins[digits[DIGITS * order[i] + digit]]++] = order[i];
    [order, other] = [other, order];
  }
  return order;
}

const DIGITS = 4;
const BASE = 2 ** 16;

/** Four digits of each number, the lowest first, which ascend as the numbers do. */
function digitsOf(numbers: Float64Array): Uint16Array {
  const copy = new Float64Array(numbers.length);
  for (let row = 0; row < copy.length; row++) copy[row] = numbers[row] + 0;
  // Of negative doubles all bits count down, and the sign is the highest bit.
  const words = new Int32Array(copy.buffer);
  for (let high = 1; high < words.length; high += 2) {
    const isNegative = words[high] < 0;
    if (isNegative) words[high - 1] = ~words[high - 1];
    words[high] = isNegative ? ~words[high] : words[high] ^ 0x8000_0000;
  }
  return new Uint16Array(copy.buffer);
}

/** Where the rows with each digit begin; null if all have the same. */
function placesOf(digits: Uint16Array, digit: number, order: Uint32Array): Uint32Array | null {
  const places = new Uint32Array(BASE);
  for (let i = 0; i < order.length; i++) places[digits[DIGITS * order[i] + digit]]++;
  if (order.length > 0 && places[digits[DIGITS * order[0] + digit]] === order.length) return null;
  let begin = 0;
  for (let value = 0; value < BASE; value++) {
    const count = places[value];
    places[value] = begin;
    begin += count;
  }
  return places;
}
