import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of schedule-free AdamW over `n` elements. `y` are the weights that are trained, z the base optimizer's iterates and x =
 * (y − (1 − β₁) z)/β₁ their average, which moves to z by `share`. `rate` is the base step's learning rate.
 */
export function schedule_free_adamw(
  y: usize, g: usize, z: usize, v: usize, n: i32, beta1: f32, weight1: f32, beta2: f32, weight2: f32, root2: f32, eps: f32,
  decay: f32, rate: f32, kept: f32, share: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const r2 = f32x4.splat(root2), e = f32x4.splat(eps), d = f32x4.splat(decay), r = f32x4.splat(rate);
  const k = f32x4.splat(kept), s = f32x4.splat(share);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(y + i, g + i, z + i, v + i, b1, w1, b2, w2, r2, e, d, r, k, s, true);
  for (; i < all; i += 4) element(y + i, g + i, z + i, v + i, b1, w1, b2, w2, r2, e, d, r, k, s, false);
}

/** Writes the average x of `n` elements to `out`. */
export function schedule_free_average(out: usize, y: usize, z: usize, n: i32, beta1: f32, weight1: f32): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(out + i, average(load(y + i, true), load(z + i, true), b1, w1), true);
  for (; i < all; i += 4) store(out + i, average(load(y + i, false), load(z + i, false), b1, w1), false);
}

@inline
function element(
  y: usize, g: usize, z: usize, v: usize, b1: v128, w1: v128, b2: v128, w2: v128, root2: v128, eps: v128,
  decay: v128, rate: v128, kept: v128, share: v128, full: bool,
): void {
  const value = load(y, full), gradient = load(g, full);
  let base = load(z, full);
  let x = average(value, base, b1, w1);
  const second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full)));
  store(v, second, full);
  const denominator = f32x4.add(f32x4.div(f32x4.sqrt(second), root2), eps);
  base = fnma(rate, fma(decay, value, f32x4.div(gradient, denominator)), base);
  store(z, base, full);
  x = fma(share, base, f32x4.mul(kept, x));
  store(y, fma(w1, base, f32x4.mul(b1, x)), full);
}

@inline
function average(y: v128, z: v128, b1: v128, w1: v128): v128 {
  return f32x4.div(fnma(w1, z, y), b1);
}
