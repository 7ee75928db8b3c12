/** The powers of ten by which decimal.kernel.as.ts multiplies. */

/** The powers of ten that are doubles go up to this. */
export const MAX_EXACT_POWER = 22;
/** The powers in 128 bits go from minus this to this. */
const MAX_POWER = 64;

interface Powers {
  readonly doubles: Float64Array;
  /** The first 128 bits of each power, the higher 64 of them first. */
  readonly pairs: BigUint64Array;
}

let powers: Powers | null = null;

export function powersOfTen(): Powers {
  powers ??= {
    doubles: Float64Array.from({ length: MAX_EXACT_POWER + 1 }, (_, exponent) => Number(`1e${exponent}`)),
    pairs: BigUint64Array.from(
      Array.from({ length: 2 * MAX_POWER + 1 }, (_, i) => {
        const bits = leadingBits(i - MAX_POWER);
        return [bits >> 64n, BigInt.asUintN(64, bits)];
      }).flat(),
    ),
  };
  return powers;
}

/** Smaller powers are cut off, as Eisel and Lemire's method wants it. */
const LEAST_ROUNDED_UP = -27;

/** The first 128 bits of 10^exponent, which are those of 5^exponent. */
function leadingBits(exponent: number): bigint {
  const power = 5n ** BigInt(Math.abs(exponent));
  const bits = BigInt(power.toString(2).length);
  if (exponent >= 0) return bits <= 128n ? power << (128n - bits) : power >> (bits - 128n);
  return (1n << (bits + 127n)) / power + (exponent >= LEAST_ROUNDED_UP ? 1n : 0n);
}
