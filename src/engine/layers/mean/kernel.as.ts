import { load, store } from "../../kernels/vector.as";

/**
 * x is [rows, length, inner] and y its means over `length`, [rows, inner]. Each sum is taken in
 * double, in ascending order.
 */
export function mean_forward(x: usize, y: usize, rows: i32, length: i32, inner: i32): void {
  const bytes = <usize>inner << 2, whole = bytes & ~15, all = bytes * <usize>length;
  for (let row = 0; row < rows; row++) {
    let j: usize = 0;
    for (; j < whole; j += 16) column(x + j, y + j, bytes, length, true);
    for (; j < bytes; j += 4) column(x + j, y + j, bytes, length, false);
    x += all;
    y += bytes;
  }
}

/** The means of four columns, or of one. */
@inline
function column(x: usize, y: usize, bytes: usize, length: i32, full: bool): void {
  let low = f64x2.splat(0), high = f64x2.splat(0);
  for (let i = 0; i < length; i++, x += bytes) {
    const values = load(x, full);
    low = f64x2.add(low, f64x2.promote_low_f32x4(values));
    if (full) high = f64x2.add(high, f64x2.promote_low_f32x4(i32x4.shuffle(values, values, 2, 3, 2, 3)));
  }
  const n = f64x2.splat(<f64>length);
  const first = f32x4.demote_f64x2_zero(f64x2.div(low, n));
  const second = f32x4.demote_f64x2_zero(f64x2.div(high, n));
  store(y, i32x4.shuffle(first, second, 0, 1, 4, 5), full);
}

/** g is the gradient of the means and d that of x: every place of a column has g / length. */
export function mean_backward(g: usize, d: usize, rows: i32, length: i32, inner: i32): void {
  const bytes = <usize>inner << 2, whole = bytes & ~15, all = bytes * <usize>length;
  const n = f32x4.splat(<f32>length);
  for (let row = 0; row < rows; row++) {
    let j: usize = 0;
    for (; j < whole; j += 16) store(d + j, f32x4.div(load(g + j, true), n), true);
    for (; j < bytes; j += 4) store(d + j, f32x4.div(load(g + j, false), n), false);
    for (let at = bytes; at < all; at += bytes) memory.copy(d + at, d, bytes);
    g += bytes;
    d += all;
  }
}
