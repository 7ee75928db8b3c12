// Splits UTF-8 text into rows of cells, for as long as the rows are plain. A plain row has the
// number of cells that is expected, and nothing that could be a fault or a special case: those rows
// are left to RowSplitter (table/rows.ts), which knows all rules. So this kernel knows few: where
// cells end, which spaces around them do not count, and what quotes mean.

import { copyText } from "./copy.as";

/** Why the rows end: `split_outcome` gives it. */
const FULL = 0;
/** The end of the row has not come yet. */
const INCOMPLETE = 1;
const NOT_PLAIN = 2;

const TAB: u32 = 9;
const LF: u32 = 10;
const CR: u32 = 13;
const SPACE: u32 = 32;
const QUOTE: u32 = 34;

const MAX_CELL_BYTES: usize = 65536;
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024;

let outcome = FULL;
let next: usize = 0;
let line = 0;

export function split_outcome(): i32 {
  return outcome;
}

/** Where the first row begins that was not taken, and its line. */
export function split_next(): usize {
  return next;
}

export function split_line(): i32 {
  return line;
}

/** The bits of the bytes among 16 that may end a cell. */
// @ts-ignore: decorator
@inline
function stops(at: usize, separator: v128): u32 {
  const bytes = v128.load(at);
  const breaks = v128.or(i8x16.eq(bytes, i8x16.splat(<i8>LF)), i8x16.eq(bytes, i8x16.splat(<i8>CR)));
  const others = v128.or(i8x16.eq(bytes, separator), i8x16.eq(bytes, i8x16.splat(<i8>QUOTE)));
  return <u32>i8x16.bitmask(v128.or(breaks, others));
}

/** Whether it is ASCII, and surely no space. */
// @ts-ignore: decorator
@inline
function isSolid(byte: u32): bool {
  return byte - SPACE - 1 < 0x80 - SPACE - 1;
}

// @ts-ignore: decorator
@inline
function isSpace(byte: u32): bool {
  return byte == SPACE || byte - TAB <= CR - TAB;
}

/** Whether a space that is no ASCII begins here, as `trim` of JavaScript knows them. */
function isWideSpace(at: usize): bool {
  const byte = <u32>load<u8>(at);
  const second = <u32>load<u8>(at + 1);
  const third = <u32>load<u8>(at + 2);
  if (byte == 0xc2) return second == 0xa0;
  if (byte == 0xe1) return second == 0x9a && third == 0x80;
  if (byte == 0xe2 && second == 0x80) return third <= 0x8a || third == 0xa8 || third == 0xa9 || third == 0xaf;
  if (byte == 0xe2) return second == 0x81 && third == 0x9f;
  if (byte == 0xe3) return second == 0x80 && third == 0x80;
  return byte == 0xef && second == 0xbb && third == 0xbf;
}

/** The same for the character that ends before `end`. */
function isWideSpaceBefore(begin: usize, end: usize): bool {
  let at = end - 1;
  while (at > begin && (load<u8>(at) & 0xc0) == 0x80) at--;
  return isWideSpace(at);
}

/** The first quote from here on, or `end`. */
function quoteFrom(at: usize, end: usize): usize {
  for (; at < end; at += 16) {
    const found = <u32>i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(<i8>QUOTE)));
    if (found != 0) {
      const quote = at + ctz(found);
      return quote < end ? quote : end;
    }
  }
  return end;
}

/** How often a byte occurs. */
function count(byte: u32, begin: usize, end: usize): i32 {
  let found = 0;
  for (let at = begin; at < end; at += 16) {
    const bits = <u32>i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(<i8>byte)));
    const left = <u32>(end - at);
    found += popcnt(left < 16 ? bits & ((1 << left) - 1) : bits);
  }
  return found;
}

/**
 * Takes rows from `at`, at most `most`, and gives their number. Of each row the line goes to
 * `lines`; of each cell the first byte and the one after the last go to `cells`. A cell with
 * doubled quotes is written to `room` as it is meant. 16 bytes after `end` may be read. `comment`:
 * the first byte of lines that are comments, or -1.
 */
export function split(
  at: usize,
  end: usize,
  firstLine: i32,
  columns: i32,
  separator: u32,
  comment: i32,
  most: i32,
  lines: usize,
  cells: usize,
  room: usize,
): i32 {
  const separators = i8x16.splat(<i8>separator);
  let rows = 0;
  let nextLine = firstLine;
  let row = at;
  let ending = FULL;
  while (rows < most) {
    // Where the next stops are looked for, and those that are found but not used.
    let block = row;
    let found: u32 = row < end ? stops(block, separators) : 0;
    let begin = row;
    let cell = cells;
    let left = columns;
    let isBlank = true;
    let isQuoted = false;
    let after: usize = 0;
    if (row >= end) ending = INCOMPLETE;
    else if (<i32>load<u8>(row) == comment) ending = NOT_PLAIN;
    while (ending == FULL) {
      while (found == 0 && block < end) {
        block += 16;
        found = stops(block, separators);
      }
      let stop = block + ctz(found);
      if (stop >= end) {
        ending = INCOMPLETE;
        break;
      }
      found &= found - 1;
      let from = begin;
      let to = stop;
      let byte = <u32>load<u8>(stop);
      if (byte == QUOTE) {
        while (from < stop && isSpace(load<u8>(from))) from++;
        if (from < stop) {
          ending = NOT_PLAIN;
          break;
        }
        isQuoted = true;
        isBlank = false;
        from = stop + 1;
        // Where the cell is copied to, if it has doubled quotes.
        let copied: usize = 0;
        let part = from;
        let quote: usize;
        for (;;) {
          quote = quoteFrom(part, end);
          if (quote + 1 >= end || load<u8>(quote + 1) != QUOTE) break;
          if (copied == 0) copied = room;
          copyText(room, part, quote + 1 - part);
          room += quote + 1 - part;
          part = quote + 2;
        }
        if (quote + 1 >= end) {
          ending = INCOMPLETE;
          break;
        }
        to = quote;
        if (copied != 0) {
          copyText(room, part, quote - part);
          room += quote - part;
          from = copied;
          to = room;
        }
        stop = quote + 1;
        byte = <u32>load<u8>(stop);
        while (stop < end && byte != separator && (byte == SPACE || byte == TAB || byte == 11 || byte == 12)) {
          stop++;
          byte = <u32>load<u8>(stop);
        }
        if (stop >= end) {
          ending = INCOMPLETE;
          break;
        }
        if (byte != separator && byte != LF && byte != CR) {
          ending = NOT_PLAIN;
          break;
        }
        block = stop + 1;
        found = stops(block, separators);
      } else if (from < to && isSolid(load<u8>(from)) && isSolid(load<u8>(to - 1))) isBlank = false;
      else {
        while (from < to && isSpace(load<u8>(from))) from++;
        while (from < to && isSpace(load<u8>(to - 1))) to--;
        if (from < to) {
          isBlank = false;
          if (
            (load<u8>(from) >= 0x80 && isWideSpace(from)) ||
            (load<u8>(to - 1) >= 0x80 && isWideSpaceBefore(from, to))
          ) {
            ending = NOT_PLAIN;
            break;
          }
        }
      }
      if (left == 0 || to - from > MAX_CELL_BYTES) {
        ending = NOT_PLAIN;
        break;
      }
      left--;
      store<u32>(cell, <u32>from, 0);
      store<u32>(cell, <u32>to, 4);
      cell += 8;
      begin = stop + 1;
      if (byte == separator) continue;
      if (byte == CR) {
        if (begin >= end) {
          ending = INCOMPLETE;
          break;
        }
        const follows = <u32>load<u8>(begin);
        if (follows == CR) {
          ending = NOT_PLAIN;
          break;
        }
        if (follows == LF) begin++;
      }
      after = begin;
      break;
    }
    if (ending == FULL && (left > 0 || (isBlank && !isQuoted) || after - row > MAX_ROW_BYTES)) ending = NOT_PLAIN;
    if (ending != FULL) break;
    store<u32>(lines + (<usize>rows << 2), nextLine);
    nextLine += isQuoted ? count(load<u8>(after - 1), row, after) : 1;
    rows++;
    cells = cell;
    row = after;
  }
  outcome = ending;
  next = row;
  line = nextLine;
  return rows;
}
