// Reads the plain cells of a column of dates: 2024-01-31, with a time or without, and 31.01.2024 in
// either order. All other cells are left to DateReader (columns/cell-date.ts), and so are those
// that tell something new about the column.
import { decimal } from "./decimal.kernel.as";
import { ALWAYS, count_missing, missing_kind, start_count } from "./missing.kernel.as";

const ZERO: u32 = 48;
const DASH: u32 = 45;
const POINT: u32 = 46;
const SLASH: u32 = 47;
const COLON: u32 = 58;
const SPACE: u32 = 32;
const DAY_MS: f64 = 86400000;
const MAX_FRACTION_DIGITS = 15;

/** The number of two digits, or -1. */
// @ts-ignore: decorator
@inline
function pair(at: usize): i32 {
  const tens = <u32>load<u8>(at) - ZERO;
  const ones = <u32>load<u8>(at + 1) - ZERO;
  return tens <= 9 && ones <= 9 ? 10 * tens + ones : -1;
}

function daysOf(year: i32, month: i32): i32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/** Milliseconds since 1970, or NaN if there is no such day. */
function dateOf(year: i32, month: i32, day: i32): f64 {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return NaN;
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
  const leapDays = marchYear / 4 - marchYear / 100 + marchYear / 400;
  return DAY_MS * <f64>(365 * marchYear + leapDays + dayOfYear - 719468);
}

/** hh:mm, hh:mm:ss or hh:mm:ss.ffffff, each with Z or without, as milliseconds; else NaN. */
function clockOf(at: usize, end: usize): f64 {
  if (end - at > 5 && load<u8>(end - 1) == 90) end--;
  const length = <i32>(end - at);
  if (length < 5 || load<u8>(at + 2) != COLON) return NaN;
  const hour = pair(at);
  const minute = pair(at + 3);
  let second = 0;
  let rest: f64 = 0;
  if (length != 5) {
    if (length < 8 || load<u8>(at + 5) != COLON) return NaN;
    second = pair(at + 6);
    if (length != 8) {
      const places = length - 9;
      if (load<u8>(at + 8) != POINT || places < 1 || places > MAX_FRACTION_DIGITS) return NaN;
      let digits: u64 = 0;
      for (let i = at + 9; i < end; i++) {
        const digit = <u32>load<u8>(i) - ZERO;
        if (digit > 9) return NaN;
        digits = 10 * digits + digit;
      }
      rest = decimal(digits, 3 - places);
    }
  }
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return NaN;
  return <f64>(1000 * (60 * (60 * hour + minute) + second)) + rest;
}

function yearFirst(begin: usize, end: usize): f64 {
  if (load<u8>(begin + 7) != DASH) return NaN;
  const century = pair(begin);
  const year = pair(begin + 2);
  if (century < 0 || year < 0) return NaN;
  const date = dateOf(100 * century + year, pair(begin + 5), pair(begin + 8));
  if (end - begin == 10) return date;
  const between = <u32>load<u8>(begin + 10);
  if (between != SPACE && between != 84) return NaN;
  return date + clockOf(begin + 11, end);
}

/** `order`: 0 if the day comes first, 1 if the month does. -1: such cells are left to others. */
function yearLast(begin: usize, order: i32, takesOneOrder: bool): f64 {
  const mark = <u32>load<u8>(begin + 2);
  if (order < 0 || mark != load<u8>(begin + 5) || mark < DASH || mark > SLASH) return NaN;
  const century = pair(begin + 6);
  const ofCentury = pair(begin + 8);
  const first = pair(begin);
  const second = pair(begin + 3);
  if (century < 0 || ofCentury < 0 || first < 0 || second < 0) return NaN;
  const year = 100 * century + ofCentury;
  const value = order == 0 ? dateOf(year, second, first) : dateOf(year, first, second);
  if (takesOneOrder) return value;
  const other = order == 0 ? dateOf(year, first, second) : dateOf(year, second, first);
  return isNaN(other) ? NaN : value;
}

/**
 * Writes the value of each cell to `out`, NaN for a missing one. Gives the first row that is left
 * to others, or `rows`. `cells`, `stride` and `words` are those of `numbers_of`. `takesOneOrder`:
 * whether the date may not exist in the other order.
 */
export function dates_of(
  cells: usize,
  stride: i32,
  from: i32,
  rows: i32,
  order: i32,
  takesOneOrder: i32,
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
      if (end - begin >= 10 && end - begin <= 40) {
        if (load<u8>(begin + 4) == DASH) value = yearFirst(begin, end);
        else if (end - begin == 10) value = yearLast(begin, order, takesOneOrder != 0);
      }
      if (isNaN(value)) {
        if (words == 0) missing = missing_kind(begin, end);
        if (missing < 0) return row;
      }
    }
    if (missing >= 0) count_missing(missing);
    store<f64>(out + (<usize>row << 3), value);
  }
  return rows;
}
