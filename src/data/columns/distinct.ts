/** Whether the values of a column are nearly all different, as those of an id are. */

/** Fewer may all be different by chance. */
const MIN_VALUES = 21;
/** The share of values that repeat others, from which on they do not count as different. */
const REPEATED_SHARE = 0.05;

export function areNearlyAll(distinct: number, count: number): boolean {
  return count >= MIN_VALUES && count - distinct < REPEATED_SHARE * count;
}

/** `values`: NaN where a cell is missing. Ends early where many repeat. */
export function areAllDifferent(values: Float64Array): boolean {
  let count = 0;
  for (const value of values) if (!Number.isNaN(value)) count++;
  const seen = new DoubleSet(count);
  let repeated = 0;
  for (const value of values) {
    if (Number.isNaN(value) || seen.add(value)) continue;
    if (!areNearlyAll(count - ++repeated, count)) return false;
  }
  return areNearlyAll(count - repeated, count);
}

export function areIntegers(values: Float64Array): boolean {
  for (const value of values) if (!Number.isInteger(value) && !Number.isNaN(value)) return false;
  return true;
}

/** The bits of a double. */
const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** Open addressing in one array; a `Set` takes several times the memory and the time. */
class DoubleSet {
  readonly #slots: Float64Array;
  readonly #shift: number;

  constructor(count: number) {
    const bits = Math.max(4, 33 - Math.clz32(count));
    this.#slots = new Float64Array(2 ** bits).fill(Number.NaN);
    this.#shift = 32 - bits;
  }

  /** Whether it is new. */
  add(value: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    double[0] = value === 0 ? 0 : value; // the two zeros are equal
    const mixed = Math.imul(words[0] ^ Math.imul(words[1], 0x85ebca6b), 0x9e3779b1);
    for (let at = mixed >>> this.#shift; ; at = (at + 1) & mask) {
      if (slots[at] === value) return false;
      if (Number.isNaN(slots[at])) {
        slots[at] = value;
        return true;
      }
    }
  }
}

/**
 * A number that stands for a text where only the difference counts. It is never an integer, and two
 * texts have the same once in 2^51.
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
