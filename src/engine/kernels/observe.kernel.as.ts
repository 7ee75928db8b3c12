// What observing a step takes beside norms.
import { load, store } from "./vector.as";

/** before[i] = after[i] − before[i]: what an update did, in place of what it started from. */
export function subtract_from(after: usize, before: usize, count: i32): void {
  const whole = (<usize>count & ~3) << 2, all = <usize>count << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(before + i, f32x4.sub(load(after + i, true), load(before + i, true)), true);
  for (; i < all; i += 4) store(before + i, f32x4.sub(load(after + i, false), load(before + i, false)), false);
}

/** How many of the columns begin..end of `rows` rows of `width` float32 are positive in no row. */
export function silent_units(address: usize, rows: i32, width: i32, begin: i32, end: i32): i32 {
  let silent = 0;
  for (let unit = begin; unit < end; unit++) {
    let row = 0;
    while (row < rows && !(f32.load(address + ((<usize>row * <usize>width + <usize>unit) << 2)) > 0)) row++;
    if (row == rows) silent++;
  }
  return silent;
}
