import { fma, fnma, load, store } from "../../kernels/vector.as";

// `round` is 1 where results are rounded to bfloat16, which is the upper half of a float32.

/**
 * Moves the average `buffer` towards the gradient by the share `weight`, and writes g + lookahead ×
 * (buffer − g) to `out`.
 */
export function muon_direction(g: usize, buffer: usize, out: usize, n: i32, weight: f32, lookahead: f32, round: i32): void {
  const w = f32x4.splat(weight), l = f32x4.splat(lookahead), r = round != 0;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) direction(g + i, buffer + i, out + i, w, l, r, true);
  for (; i < all; i += 4) direction(g + i, buffer + i, out + i, w, l, r, false);
}

/** x = x / divisor */
export function muon_divide(x: usize, n: i32, divisor: f32, round: i32): void {
  const r = round != 0, d = rounded(f32x4.splat(divisor), r);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(x + i, rounded(f32x4.div(load(x + i, true), d), r), true);
  for (; i < all; i += 4) store(x + i, rounded(f32x4.div(load(x + i, false), d), r), false);
}

/** x = a × x + b × y */
export function muon_add(x: usize, y: usize, n: i32, a: f32, b: f32, round: i32): void {
  const va = f32x4.splat(a), vb = f32x4.splat(b), r = round != 0;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(x + i, rounded(fma(va, load(x + i, true), f32x4.mul(vb, load(y + i, true))), r), true);
  for (; i < all; i += 4) store(x + i, rounded(fma(va, load(x + i, false), f32x4.mul(vb, load(y + i, false))), r), false);
}

/** x = shrink × x − rate × direction */
export function muon_step(x: usize, direction: usize, n: i32, shrink: f32, rate: f32): void {
  const k = f32x4.splat(shrink), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(x + i, fnma(r, load(direction + i, true), f32x4.mul(k, load(x + i, true))), true);
  for (; i < all; i += 4) store(x + i, fnma(r, load(direction + i, false), f32x4.mul(k, load(x + i, false))), false);
}

@inline
function direction(g: usize, buffer: usize, out: usize, weight: v128, lookahead: v128, round: bool, full: bool): void {
  const gradient = load(g, full);
  let average = load(buffer, full);
  average = fma(weight, f32x4.sub(gradient, average), average);
  store(buffer, average, full);
  store(out, rounded(fma(lookahead, f32x4.sub(average, gradient), gradient), round), full);
}

/** The nearest bfloat16; of two that are equally near, the even one. NaN stays NaN. */
@inline
function rounded(x: v128, round: bool): v128 {
  if (!round) return x;
  const even = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const up = i32x4.add(x, i32x4.add(even, i32x4.splat(0x7fff)));
  return v128.bitselect(v128.and(up, i32x4.splat(0xffff0000)), x, f32x4.eq(x, x));
}
