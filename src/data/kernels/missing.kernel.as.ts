// Which cells are missing: the words of a table that all columns share. Their numbers are those of
// `missing_kinds` (reader.ts).
import { word } from "./words.kernel.as";

/** A missing cell in every column, and one that is missing only beside numbers, dates, booleans. */
export const ALWAYS = 0;
export const BESIDE_VALUES = 1;

let table: usize = 0;
let slots = 0;
let longest: usize = 0;

/** Says which words there are. None is longer than `longestBytes`. */
export function missing_words(at: usize, count: i32, longestBytes: i32): void {
  table = at;
  slots = count;
  longest = longestBytes;
}

/** Which of the two it is, or -1. An empty cell is no word. */
// @ts-ignore: decorator
@inline
export function missing_kind(begin: usize, end: usize): i32 {
  return end - begin > longest ? -1 : word(table, slots, begin, end);
}

/** How many missing cells of each kind the last call of a column's kernel has met. */
let always = 0;
let besideValues = 0;

export function missing_always(): i32 {
  return always;
}

export function missing_beside_values(): i32 {
  return besideValues;
}

export function start_count(): void {
  always = besideValues = 0;
}

/** Counts an empty cell or a word for a missing one. */
export function count_missing(kind: i32): void {
  if (kind == ALWAYS) always++;
  else besideValues++;
}
