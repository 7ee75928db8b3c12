// Decimal numbers to doubles, rounded once, as `Number` does it. The method is Clinger's where
// both parts are doubles, and else Eisel and Lemire's ("Number parsing at a gigabyte per second",
// 2021): the digits times a power of ten, of which the first 128 bits are enough.

/** The powers of ten that are doubles: `decimal_tables` (tables.ts) writes them. */
const MAX_EXACT_POWER = 22;
/** The powers in the table of 128 bits go from minus this to this. */
export const MAX_POWER = 64;

let doubles: usize = 0;
let powers: usize = 0;

/** Says where the tables are: doubles of ten, and pairs of 64 bits, the higher ones first. */
export function decimal_tables(doublesAt: usize, powersAt: usize): void {
  doubles = doublesAt;
  powers = powersAt;
}

/** The higher 64 bits of a product. The lower ones are `a * b`. */
// @ts-ignore: decorator
@inline
function high(a: u64, b: u64): u64 {
  const al = a & 0xffffffff;
  const ah = a >> 32;
  const bl = b & 0xffffffff;
  const bh = b >> 32;
  const middle = ah * bl + ((al * bl) >> 32);
  const other = al * bh + (middle & 0xffffffff);
  return ah * bh + (middle >> 32) + (other >> 32);
}

/** digits × 10^exponent. The exponent is one of those in the table. */
export function decimal(digits: u64, exponent: i32): f64 {
  if (digits == 0) return 0;
  if (exponent == 0) return <f64>digits;
  if (digits <= 1 << 53 && exponent >= -MAX_EXACT_POWER && exponent <= MAX_EXACT_POWER) {
    if (exponent < 0) return <f64>digits / load<f64>(doubles + (<usize>-exponent << 3));
    return <f64>digits * load<f64>(doubles + (<usize>exponent << 3));
  }
  const zeros = <i32>clz(digits);
  const shifted = digits << zeros;
  const power = powers + (<usize>(exponent + MAX_POWER) << 4);
  let upper = high(shifted, load<u64>(power, 0));
  let lower = shifted * load<u64>(power, 0);
  // The lower half of the power matters only if these bits could carry.
  if ((upper & 0x1ff) == 0x1ff) {
    const more = high(shifted, load<u64>(power, 8));
    lower += more;
    if (lower < more) upper++;
  }
  const first = <i32>(upper >> 63);
  const shift = first + 64 - 52 - 3;
  let mantissa = upper >> shift;
  let exponent2 = (((152170 + 65536) * exponent) >> 16) + 63 + first - zeros + 1023;
  // A tie between two doubles goes to the even one.
  if (lower <= 1 && exponent >= -4 && exponent <= 23 && (mantissa & 3) == 1 && mantissa << shift == upper)
    mantissa &= ~1;
  mantissa += mantissa & 1;
  mantissa >>= 1;
  if (mantissa >= 2 << 52) {
    mantissa = 1 << 52;
    exponent2++;
  }
  return reinterpret<f64>((mantissa & ~(1 << 52)) | (<u64>exponent2 << 52));
}
