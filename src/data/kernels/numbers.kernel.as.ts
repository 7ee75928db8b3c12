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

const WORD_BYTES: usize = 8;

/**
 * The value of up to eight digits that begin with no zero, or are one. All at once: each product
 * makes one digit of two, and the next one makes one of those two. -1: the cell is something else.
 */
// @ts-ignore: decorator
@inline
function fewDigits(begin: usize, end: usize): i32 {
  const bytes = end - begin;
  if (bytes > WORD_BYTES) return -1;
  const first = <u32>load<u8>(begin);
  // The first digit is the lowest byte. Zeros before it make them eight.
  const zeros: u64 = 0x3030303030303030;
  const shift = (WORD_BYTES - bytes) << 3;
  const word = bytes == WORD_BYTES ? load<u64>(begin) : (load<u64>(begin) << shift) | (zeros >> (64 - shift));
  const areDigits = (word & 0xf0f0f0f0f0f0f0f0) == zeros && ((word + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) == zeros;
  if (!areDigits || (first == ZERO && bytes > 1)) return -1;
  let value = word - zeros;
  value = value * 10 + (value >> 8);
  const pairs: u64 = 0x000000ff000000ff;
  return <i32>(((value & pairs) * (100 + (1000000 << 32)) + ((value >> 16) & pairs) * (1 + (10000 << 32))) >> 32);
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

/** The totals of the values that the last call of `numbers_of` has read. */
let sum: f64 = 0;
let lowest: f64 = Infinity;
let highest: f64 = -Infinity;

export function numbers_sum(): f64 {
  return sum;
}

export function numbers_lowest(): f64 {
  return lowest;
}

export function numbers_highest(): f64 {
  return highest;
}

/**
 * Writes the value of each cell to `out`, NaN for a missing one. Gives the first row that is left
 * to others, or `rows`. `cells` and `stride` are those of `words_of`. `words`: whether a plain
 * number may be a word for a missing cell. `before`: the sum of the values before these.
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
  before: f64,
): i32 {
  start_count();
  sum = before;
  lowest = Infinity;
  highest = -Infinity;
  let row = from;
  for (; row < rows; row++) {
    const cell = cells + <usize>row * stride;
    const begin = <usize>load<u32>(cell, 0);
    const end = <usize>load<u32>(cell, 4);
    let missing = begin == end ? ALWAYS : -1;
    if (missing < 0 && words != 0) missing = missing_kind(begin, end);
    let value: f64 = NaN;
    if (missing < 0) {
      const few = fewDigits(begin, end);
      isPlain = true;
      value = few >= 0 ? <f64>few : read(begin, end, mark, takesMark != 0, takesGroups != 0);
      if (isPlain) {
        sum += value;
        if (value < lowest) lowest = value;
        if (value > highest) highest = value;
      } else {
        if (words == 0) missing = missing_kind(begin, end);
        if (missing < 0) break;
        value = NaN;
      }
    }
    if (missing >= 0) count_missing(missing);
    store<f64>(out + (<usize>row << 3), value);
  }
  return row;
}
