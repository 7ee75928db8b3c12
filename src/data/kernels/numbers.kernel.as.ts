// Reads the plain cells of a column of numbers: a sign, digits, the column's decimal mark and an
// exponent. All other cells are left to NumberReader (columns/cell-number.ts), and so are those
// that tell something new about the column.
import { decimal, MAX_POWER } from "./decimal.kernel.as";
import { ALWAYS, count_missing, missing_kind, start_count } from "./missing.kernel.as";

const ZERO: u32 = 48;
const PLUS: u32 = 43;
const MINUS: u32 = 45;
/** So many digits fit in 64 bits. */
const MAX_DIGITS = 19;
/** Integers of more digits may be codes. */
const MAX_INTEGER_DIGITS = 15;

/** Set by `read`: whether the cell is plain. */
let isPlain = false;

/**
 * `mark`: the decimal mark. `takesMark`, `takesGroups`: whether cells with the mark are taken, and
 * those whose mark could also group thousands, as in 1.234.
 */
function read(begin: usize, end: usize, mark: u32, takesMark: bool, takesGroups: bool): f64 {
  isPlain = false;
  let at = begin;
  const sign = <u32>load<u8>(at);
  if (sign == MINUS || sign == PLUS) at++;
  const first = at;
  let digits: u64 = 0;
  let significant = 0;
  let markAt: usize = 0;
  let byte: u32 = 0;
  for (; at < end; at++) {
    byte = <u32>load<u8>(at);
    const digit = byte - ZERO;
    if (digit <= 9) {
      digits = 10 * digits + digit;
      if (digits != 0) significant++;
    } else if (byte == mark && markAt == 0 && takesMark) markAt = at;
    else break;
  }
  const all = <i32>(at - first) - <i32>(markAt != 0);
  if (all == 0 || significant > MAX_DIGITS) return 0;
  const fraction = markAt == 0 ? 0 : <i32>(at - markAt) - 1;
  let exponent = -fraction;
  if (at < end) {
    if ((byte | 32) != 101) return 0;
    const power = exponentOf(at + 1, end);
    if (!isPlain) return 0;
    isPlain = false;
    exponent += power;
  } else if (markAt == 0) {
    if (all > MAX_INTEGER_DIGITS || (all > 1 && load<u8>(first) == ZERO)) return 0;
  } else if (fraction == 3 && !takesGroups && all >= 4 && all <= 6 && load<u8>(first) != ZERO) return 0;
  if (exponent < -MAX_POWER || exponent > MAX_POWER) return 0;
  isPlain = true;
  const value = decimal(digits, exponent);
  return sign == MINUS ? -value : value;
}

/** Sets `isPlain` too. */
function exponentOf(at: usize, end: usize): i32 {
  const sign = at < end ? <u32>load<u8>(at) : 0;
  if (sign == MINUS || sign == PLUS) at++;
  if (at >= end || end - at > 4) return 0;
  let value = 0;
  for (; at < end; at++) {
    const digit = <u32>load<u8>(at) - ZERO;
    if (digit > 9) return 0;
    value = 10 * value + digit;
  }
  isPlain = true;
  return sign == MINUS ? -value : value;
}

/**
 * Writes the value of each cell to `out`, NaN for a missing one. Gives the first row that is left
 * to others, or `rows`. `cells` and `stride` are those of `words_of`. `words`: whether a plain
 * number may be a word for a missing cell.
 */
export function numbers_of(
  cells: usize,
  stride: i32,
  from: i32,
  rows: i32,
  mark: i32,
  takesMark: i32,
  takesGroups: i32,
  words: i32,
  out: usize,
): i32 {
  start_count();
  for (let row = from; row < rows; row++) {
    const cell = cells + <usize>row * stride;
    const begin = <usize>load<u32>(cell, 0);
    const end = <usize>load<u32>(cell, 4);
    let missing = begin == end ? ALWAYS : -1;
    if (missing < 0 && words != 0) missing = missing_kind(begin, end);
    let value: f64 = NaN;
    if (missing < 0) {
      value = read(begin, end, mark, takesMark != 0, takesGroups != 0);
      if (!isPlain) {
        if (words == 0) missing = missing_kind(begin, end);
        if (missing < 0) return row;
        value = NaN;
      }
    }
    if (missing >= 0) count_missing(missing);
    store<f64>(out + (<usize>row << 3), value);
  }
  return rows;
}
