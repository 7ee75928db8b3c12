import { copyRow } from "./rows.as";

/** Copies `count` rows of so many bytes, which lie `toStep` and `fromStep` bytes apart. */
export function copy_rows(to: usize, from: usize, count: i32, bytes: i32, toStep: i32, fromStep: i32): void {
  for (let i = 0; i < count; i++, to += toStep, from += fromStep) copyRow(to, from, bytes);
}
