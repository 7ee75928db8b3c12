// Rows that are normalized each for itself. `centered`: by mean and variance (layer_norm); else by
// the mean of squares, and the mean counts as 0 (rms_norm). `saved` holds each row's mean and
// scale.
import { deviations, normal, normalizeRow, slopeDot, slopeRow, slopes, slopeSum, sumOf } from "../../kernels/normalize.as";
import { fma, load as loadFloats, store as storeFloats } from "../../kernels/vector.as";

export function row_norm_forward(
  x: usize, y: usize, weight: usize, bias: usize, saved: usize, rows: i32, n: i32, eps: f64, centered: bool,
): void {
  const bytes = n << 2;
  for (let row = 0; row < rows; row++) {
    const mean = centered ? <f32>(sumOf(x, n) / <f64>n) : 0;
    const scale = <f32>(1 / sqrt<f64>(deviations(x, n, mean) / <f64>n + eps));
    store<f32>(saved, mean);
    store<f32>(saved, scale, 4);
    normalizeRow(x, y, n, mean, scale, weight, bias);
    x += bytes;
    y += bytes;
    saved += 8;
  }
}

export function row_norm_backward(
  x: usize, g: usize, d: usize, weight: usize, saved: usize, rows: i32, n: i32, centered: bool,
): void {
  const bytes = n << 2;
  for (let row = 0; row < rows; row++) {
    const mean = load<f32>(saved), scale = load<f32>(saved, 4);
    slopes(x, g, weight, n, mean, scale);
    slopeRow(x, g, d, n, weight, mean, scale, centered ? <f32>(slopeSum / <f64>n) : 0, <f32>(slopeDot / <f64>n));
    x += bytes;
    g += bytes;
    d += bytes;
    saved += 8;
  }
}

const BLOCK: i32 = 256;

/**
 * Elements begin..end of the weight's gradient, Σ g x̂ over all rows: in blocks of 256 rows, each a
 * chain of fused multiply-adds, the blocks' sums added in ascending order.
 */
export function row_norm_gradient(out: usize, x: usize, g: usize, saved: usize, rows: i32, n: i32, begin: i32, end: i32): void {
  let j = begin;
  for (; j + 16 <= end; j += 16) columns(out, x, g, saved, rows, n, j, 4, true);
  for (; j + 4 <= end; j += 4) columns(out, x, g, saved, rows, n, j, 1, true);
  for (; j < end; j++) columns(out, x, g, saved, rows, n, j, 1, false);
}

/** `count` vectors of columns from j on. */
@inline
function columns(out: usize, x: usize, g: usize, saved: usize, rows: i32, n: i32, j: i32, count: i32, full: bool): void {
  const bytes = <usize>n << 2, at = <usize>j << 2;
  out += at;
  for (let first = 0; first < rows; first += BLOCK) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let row = first, stop = min(first + BLOCK, rows); row < stop; row++) {
      const place = <usize>row * bytes + at, s = saved + (<usize>row << 3);
      const mean = v128.load32_splat(s), scale = v128.load32_splat(s, 4);
      a = term(x + place, g + place, mean, scale, a, full);
      if (count > 1) {
        b = term(x + place + 16, g + place + 16, mean, scale, b, true);
        c = term(x + place + 32, g + place + 32, mean, scale, c, true);
        d = term(x + place + 48, g + place + 48, mean, scale, d, true);
      }
    }
    put(out, a, first != 0, full);
    if (count > 1) {
      put(out + 16, b, first != 0, true);
      put(out + 32, c, first != 0, true);
      put(out + 48, d, first != 0, true);
    }
  }
}

@inline
function term(x: usize, g: usize, mean: v128, scale: v128, sum: v128, full: bool): v128 {
  return fma(loadFloats(g, full), normal(loadFloats(x, full), mean, scale), sum);
}

@inline
function put(out: usize, sum: v128, add: bool, full: bool): void {
  storeFloats(out, add ? f32x4.add(loadFloats(out, full), sum) : sum, full);
}
