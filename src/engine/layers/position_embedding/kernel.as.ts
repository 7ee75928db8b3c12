// A table whose rows are added to the positions of every sample.
import { load as loadFloats, store as storeFloats } from "../../kernels/vector.as";

/** y = x + table for each of `samples` samples of `size` elements. y may be x. */
export function position_forward(x: usize, table: usize, y: usize, samples: i32, size: i32): void {
  const whole = <usize>(size & ~3) << 2, all = <usize>size << 2;
  for (let sample = 0; sample < samples; sample++, x += all, y += all) {
    let i: usize = 0;
    for (; i < whole; i += 16) sum(x + i, table + i, y + i, true);
    for (; i < all; i += 4) sum(x + i, table + i, y + i, false);
  }
}

@inline
function sum(x: usize, table: usize, y: usize, full: bool): void {
  storeFloats(y, f32x4.add(loadFloats(x, full), loadFloats(table, full)), full);
}

/**
 * Fills a table of [time, size]: sin(t / 10000^(2i / size)) at place 2i, its cosine at place 2i +
 * 1. In double, rounded once.
 */
export function position_table(table: usize, time: i32, size: i32): void {
  for (let t = 0; t < time; t++) {
    for (let i = 0; i < size; i++, table += 4) {
      const angle = <f64>t * NativeMath.pow(10000, -<f64>(i & ~1) / <f64>size);
      store<f32>(table, <f32>((i & 1) == 0 ? NativeMath.sin(angle) : NativeMath.cos(angle)));
    }
  }
}
