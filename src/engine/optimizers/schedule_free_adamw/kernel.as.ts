import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of schedule-free AdamW over `n` elements. `y` are the weights that are trained and
 * z the base optimizer's iterates. Their average x = (y − (1 − β₁) z)/β₁ moves towards z' by a
 * share c. x itself is not computed: y' = β₁ x' + (1 − β₁) z' is (1 − c)(y − (1 − β₁) z) + (1 − β₁
 * + β₁ c) z'. `kept` is 1 − c, `pull` the last factor, `scale2` 1/√(1 − β₂ᵗ), and `rate` the
 * learning rate of the base step.
 */
export function schedule_free_adamw(
  y: usize, g: usize, z: usize, v: usize, n: i32, weight1: f32, beta2: f32, weight2: f32, scale2: f32, eps: f32,
  decay: f32, rate: f32, kept: f32, pull: f32,
): void {
  const w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const s2 = f32x4.splat(scale2), e = f32x4.splat(eps), d = f32x4.splat(decay), r = f32x4.splat(rate);
  const k = f32x4.splat(kept), p = f32x4.splat(pull);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(y + i, g + i, z + i, v + i, w1, b2, w2, s2, e, d, r, k, p, true);
  for (; i < all; i += 4) element(y + i, g + i, z + i, v + i, w1, b2, w2, s2, e, d, r, k, p, false);
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
  y: usize, g: usize, z: usize, v: usize, w1: v128, b2: v128, w2: v128, scale2: v128, eps: v128,
  decay: v128, rate: v128, kept: v128, pull: v128, full: bool,
): void {
  const value = load(y, full), gradient = load(g, full);
  let base = load(z, full);
  const rest = f32x4.mul(kept, fnma(w1, base, value));
  const second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full)));
  store(v, second, full);
  const denominator = fma(f32x4.sqrt(second), scale2, eps);
  base = fnma(rate, fma(decay, value, f32x4.div(gradient, denominator)), base);
  store(z, base, full);
  store(y, fma(pull, base, rest), full);
}

@inline
function average(y: v128, z: v128, b1: v128, w1: v128): v128 {
  return f32x4.div(fnma(w1, z, y), b1);
}
