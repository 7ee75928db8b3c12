import { fma, fnma, load, store } from "../../kernels/vector.as";
import { across, lower, square, upper } from "../../kernels/wide.as";

/**
 * LAMB's first pass over one block of `n` elements: moves the moments m and v, and leaves the sums of x² and u² of the
 * block at `sums`, in double. u is the direction, see below; it is not stored, the second pass computes it again.
 */
export function lamb_moments(
  x: usize, g: usize, m: usize, v: usize, sums: usize, n: i32,
  beta1: f32, weight1: f32, beta2: f32, weight2: f32, correction1: f32, correction2: f32, eps: f32, epsRoot: f32, decay: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const c1 = f32x4.splat(correction1), c2 = f32x4.splat(correction2);
  const e = f32x4.splat(eps), er = f32x4.splat(epsRoot), d = f32x4.splat(decay);
  let x01 = f64x2.splat(0), x23 = f64x2.splat(0), u01 = f64x2.splat(0), u23 = f64x2.splat(0);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    moments(g + i, m + i, v + i, b1, w1, b2, w2, true);
    const value = load(x + i, true);
    const u = direction(value, m + i, v + i, c1, c2, e, er, d, true);
    x01 = f64x2.add(x01, square(lower(value)));
    x23 = f64x2.add(x23, square(upper(value)));
    u01 = f64x2.add(u01, square(lower(u)));
    u23 = f64x2.add(u23, square(upper(u)));
  }
  let sumX = across(x01) + across(x23), sumU = across(u01) + across(u23);
  for (; i < all; i += 4) {
    moments(g + i, m + i, v + i, b1, w1, b2, w2, false);
    const value = load(x + i, false);
    const u = direction(value, m + i, v + i, c1, c2, e, er, d, false);
    sumX += f64x2.extract_lane(square(lower(value)), 0);
    sumU += f64x2.extract_lane(square(lower(u)), 0);
  }
  v128.store(sums, f64x2.replace_lane(f64x2.splat(sumX), 1, sumU));
}

/** LAMB's second pass over `n` elements: x −= rate × u, where rate is lr times the tensor's trust ratio. */
export function lamb_step(
  x: usize, m: usize, v: usize, n: i32, correction1: f32, correction2: f32, eps: f32, epsRoot: f32, decay: f32, rate: f32,
): void {
  const c1 = f32x4.splat(correction1), c2 = f32x4.splat(correction2);
  const e = f32x4.splat(eps), er = f32x4.splat(epsRoot), d = f32x4.splat(decay), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) step(x + i, m + i, v + i, c1, c2, e, er, d, r, true);
  for (; i < all; i += 4) step(x + i, m + i, v + i, c1, c2, e, er, d, r, false);
}

@inline
function moments(g: usize, m: usize, v: usize, b1: v128, w1: v128, b2: v128, w2: v128, full: bool): void {
  const gradient = load(g, full);
  store(m, fma(w1, gradient, f32x4.mul(b1, load(m, full))), full);
  store(v, fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full))), full);
}

/** u = m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ) + eps_root) + eps) + weight_decay × x. */
@inline
function direction(value: v128, m: usize, v: usize, c1: v128, c2: v128, eps: v128, epsRoot: v128, decay: v128, full: bool): v128 {
  const root = f32x4.sqrt(fma(load(v, full), c2, epsRoot));
  return fma(decay, value, f32x4.div(f32x4.mul(load(m, full), c1), f32x4.add(root, eps)));
}

@inline
function step(x: usize, m: usize, v: usize, c1: v128, c2: v128, e: v128, er: v128, d: v128, rate: v128, full: bool): void {
  const value = load(x, full);
  store(x, fnma(rate, direction(value, m, v, c1, c2, e, er, d, full), value), full);
}
