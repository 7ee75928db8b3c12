// Takes the cells of a column of texts that are surely texts: no number, no date, no word for true
// or false, and no missing cell. All others are left to Evidence (columns/evidence.ts).
import { copyText } from "./copy.as";
import { ALWAYS, count_missing, missing_kind, start_count } from "./missing.kernel.as";

/** Which cells are taken, besides all: those that are surely texts, and those of digits alone. */
const TEXTS = 1;
const DIGITS = 2;

const MAX_BOOLEAN_BYTES: usize = 5;
/** No number and no date has so many letters in a row. */
const MANY_LETTERS = 6;
const CLOSING: u32 = 41;

// @ts-ignore: decorator
@inline
function isLetter(byte: u32): bool {
  return (byte | 32) - 97 <= 25;
}

// @ts-ignore: decorator
@inline
function isDigit(byte: u32): bool {
  return byte - 48 <= 9;
}

/** The letters that no number and no date has between digits: all but acegkmptuz. */
const NEVER_BEFORE_DIGITS: u32 =
  0x3ffffff & ~(1 | (1 << 2) | (1 << 4) | (1 << 6) | (1 << 10) | (1 << 12) | (1 << 15) | (1 << 19) | (1 << 20) | (1 << 25));

function isSurelyText(begin: usize, end: usize): bool {
  const first = <u32>load<u8>(begin);
  const last = <u32>load<u8>(end - 1);
  const bytes = end - begin;
  if (isLetter(first)) {
    const lower = first | 32;
    // f, n, t and y begin words for true and false.
    if (bytes <= MAX_BOOLEAN_BYTES && (lower == 102 || lower == 110 || lower == 116 || lower == 121)) return false;
    if (!isDigit(last) && last != CLOSING) return true;
    if (isDigit(load<u8>(begin + 1))) return true;
    const isAscii = (load<u32>(begin) & 0x80808080) == 0;
    return bytes >= 4 && isAscii && isLetter(load<u8>(begin + 3));
  }
  if (first >= 0xd0 && first <= 0xd3) return true; // Cyrillic
  if (first >= 0xe4 && first <= 0xe9) return true; // Chinese characters
  if (first == 0xc3) return true; // À to ÿ
  return hasLetters(begin, end, isDigit(first));
}

/** Whether its letters are no unit, no exponent and no part of a date. */
function hasLetters(begin: usize, end: usize, beginsWithDigit: bool): bool {
  let run = 0;
  let isOther = false;
  for (let at = begin; at < end; at++) {
    const byte = <u32>load<u8>(at);
    if (isLetter(byte)) {
      if (++run == MANY_LETTERS) return true;
      if ((NEVER_BEFORE_DIGITS >> ((byte | 32) - 97)) & 1) isOther = true;
    } else {
      run = 0;
      if (isOther && beginsWithDigit && isDigit(byte)) return true;
    }
  }
  return false;
}

/** The same number as `fingerprint` (columns/distinct.ts) gives. */
function fingerprint(begin: usize, end: usize): f64 {
  let high: u32 = 0x9e3779b1;
  let low: u32 = 0;
  let at = begin;
  while (at < end) {
    let code = <u32>load<u8>(at++);
    if (code >= 0x80) {
      if (code < 0xe0) code = ((code & 0x1f) << 6) | (load<u8>(at++) & 0x3f);
      else if (code < 0xf0) {
        code = ((code & 0xf) << 12) | ((<u32>load<u8>(at) & 0x3f) << 6) | (load<u8>(at + 1) & 0x3f);
        at += 2;
      } else {
        code = ((code & 7) << 18) | ((<u32>load<u8>(at) & 0x3f) << 12) | ((<u32>load<u8>(at + 1) & 0x3f) << 6);
        code = (code | (load<u8>(at + 2) & 0x3f)) - 0x10000;
        at += 3;
        const lead = 0xd800 + (code >> 10);
        high = (high ^ lead) * 0x01000193;
        low = 31 * low + lead;
        code = 0xdc00 + (code & 0x3ff);
      }
    }
    high = (high ^ code) * 0x01000193;
    low = 31 * low + code;
  }
  high = (high ^ (high >> 15) ^ (low >> 13)) * 0xc2b2ae35;
  low = (low ^ (low >> 16) ^ (high >> 11)) * 0x27d4eb2f;
  return -(<f64>high * 524288 + <f64>(low >> 13)) - 0.5;
}

/** Where the last call of `texts_of` has stopped to write. */
let written: usize = 0;

export function texts_end(): usize {
  return written;
}

/**
 * Writes a fingerprint of each cell to `out`, NaN for a missing one. Gives the first row that is
 * left to others, or `rows`. `cells` and `stride` are those of `words_of`. `takes`: which
 * cells are taken. If `kept` is not 0, the texts are copied there, one after the other, and `ends`
 * gets where each one ends, counted from `kept`.
 */
export function texts_of(
  cells: usize,
  stride: i32,
  from: i32,
  rows: i32,
  takes: i32,
  out: usize,
  kept: usize,
  ends: usize,
): i32 {
  start_count();
  let room = kept;
  let row = from;
  for (; row < rows; row++) {
    const cell = cells + <usize>row * stride;
    const begin = <usize>load<u32>(cell, 0);
    const end = <usize>load<u32>(cell, 4);
    let value: f64 = NaN;
    if (begin == end) count_missing(ALWAYS);
    else {
      if (missing_kind(begin, end) >= 0 || load<u8>(begin) == 32) break;
      if (takes == TEXTS && !isSurelyText(begin, end)) break;
      if (takes == DIGITS && !areDigits(begin, end)) break;
      value = fingerprint(begin, end);
      if (kept != 0) {
        copyText(room, begin, end - begin);
        room += end - begin;
      }
    }
    store<f64>(out + (<usize>row << 3), value);
    if (kept != 0) store<u32>(ends + (<usize>row << 2), <u32>(room - kept));
  }
  written = room;
  return row;
}

const MOST_DIGITS: usize = 300;

function areDigits(begin: usize, end: usize): bool {
  if (end - begin > MOST_DIGITS) return false;
  for (let at = begin; at < end; at++) if (!isDigit(load<u8>(at))) return false;
  return true;
}
