// softmax, and its logarithm, along runs of `n` elements that lie `inner` floats apart; there are
// `outer` × `inner` such runs. With `inner` = 1 a vector holds neighbours of one run, else
// neighbours of four runs. The exponentials are taken relative to the greatest element, and added
// up in double.
import { exp, log } from "../../kernels/math.as";
import { dotOf, sumOf } from "../../kernels/normalize.as";
import { load as loadFloats, store as storeFloats } from "../../kernels/vector.as";
import { lower, narrow, upper } from "../../kernels/wide.as";

export function softmax_forward(x: usize, y: usize, outer: i32, n: i32, inner: i32, logarithm: bool): void {
  const bytes = n * inner << 2, step = inner << 2;
  for (let i = 0; i < outer; i++, x += bytes, y += bytes) {
    if (inner == 1) {
      forwardRow(x, y, n, logarithm);
      continue;
    }
    let j = 0;
    for (; j + 16 <= step; j += 16) forwardRuns(x + j, y + j, n, step, logarithm, true);
    for (; j < step; j += 4) forwardRuns(x + j, y + j, n, step, logarithm, false);
  }
}

/** From the output y and its gradient g: d = y (g − Σ g y), or of the logarithm g − eʸ Σ g. */
export function softmax_backward(y: usize, g: usize, d: usize, outer: i32, n: i32, inner: i32, logarithm: bool): void {
  const bytes = n * inner << 2, step = inner << 2;
  for (let i = 0; i < outer; i++, y += bytes, g += bytes, d += bytes) {
    if (inner == 1) {
      backwardRow(y, g, d, n, logarithm);
      continue;
    }
    let j = 0;
    for (; j + 16 <= step; j += 16) backwardRuns(y + j, g + j, d + j, n, step, logarithm, true);
    for (; j < step; j += 4) backwardRuns(y + j, g + j, d + j, n, step, logarithm, false);
  }
}

function forwardRow(x: usize, y: usize, n: i32, logarithm: bool): void {
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let greatest = f32x4.splat(-Infinity), i: usize = 0;
  for (; i < whole; i += 16) greatest = f32x4.pmax(greatest, v128.load(x + i));
  for (; i < all; i += 4) greatest = f32x4.pmax(greatest, v128.load32_splat(x + i));
  greatest = f32x4.pmax(greatest, i32x4.shuffle(greatest, greatest, 2, 3, 0, 1));
  greatest = f32x4.pmax(greatest, i32x4.shuffle(greatest, greatest, 1, 0, 3, 2));
  for (i = 0; i < whole; i += 16) storeFloats(y + i, exp(f32x4.sub(loadFloats(x + i, true), greatest)), true);
  for (; i < all; i += 4) storeFloats(y + i, exp(f32x4.sub(loadFloats(x + i, false), greatest)), false);
  const sum = f32x4.splat(<f32>sumOf(y, n)), rest = log(sum);
  for (i = 0; i < whole; i += 16) finish(x + i, y + i, greatest, sum, rest, logarithm, true);
  for (; i < all; i += 4) finish(x + i, y + i, greatest, sum, rest, logarithm, false);
}

/** From an exponential in y to its share of the sum, or the share's logarithm. */
@inline
function finish(x: usize, y: usize, greatest: v128, sum: v128, rest: v128, logarithm: bool, full: bool): void {
  if (logarithm) storeFloats(y, f32x4.sub(f32x4.sub(loadFloats(x, full), greatest), rest), full);
  else storeFloats(y, f32x4.div(loadFloats(y, full), sum), full);
}

/** Four runs side by side; one if not `full`. */
@inline
function forwardRuns(x: usize, y: usize, n: i32, step: i32, logarithm: bool, full: bool): void {
  const end = x + <usize>n * <usize>step;
  let greatest = f32x4.splat(-Infinity);
  for (let at = x; at < end; at += step) greatest = f32x4.pmax(greatest, loadFloats(at, full));
  let low = f64x2.splat(0), high = low, to = y;
  for (let at = x; at < end; at += step, to += step) {
    const e = exp(f32x4.sub(loadFloats(at, full), greatest));
    storeFloats(to, e, full);
    low = f64x2.add(low, lower(e));
    high = f64x2.add(high, upper(e));
  }
  const sum = narrow(low, high), rest = log(sum);
  for (let at = x; at < end; at += step, y += step) finish(at, y, greatest, sum, rest, logarithm, full);
}

function backwardRow(y: usize, g: usize, d: usize, n: i32, logarithm: bool): void {
  const sum = f32x4.splat(<f32>(logarithm ? sumOf(g, n) : dotOf(y, g, n, 0, 1)));
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) derive(y + i, g + i, d + i, sum, logarithm, true);
  for (; i < all; i += 4) derive(y + i, g + i, d + i, sum, logarithm, false);
}

@inline
function derive(y: usize, g: usize, d: usize, sum: v128, logarithm: bool, full: bool): void {
  const value = loadFloats(y, full), slope = loadFloats(g, full);
  if (logarithm) storeFloats(d, f32x4.sub(slope, f32x4.mul(exp(value), sum)), full);
  else storeFloats(d, f32x4.mul(value, f32x4.sub(slope, sum)), full);
}

@inline
function backwardRuns(y: usize, g: usize, d: usize, n: i32, step: i32, logarithm: bool, full: bool): void {
  const size = <usize>n * <usize>step;
  let low = f64x2.splat(0), high = low;
  for (let i: usize = 0; i < size; i += step) {
    const slope = loadFloats(g + i, full);
    const term = logarithm ? slope : f32x4.mul(slope, loadFloats(y + i, full));
    low = f64x2.add(low, lower(term));
    high = f64x2.add(high, upper(term));
  }
  const sum = narrow(low, high);
  for (let i: usize = 0; i < size; i += step) derive(y + i, g + i, d + i, sum, logarithm, full);
}
