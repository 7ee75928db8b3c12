import { fma, fnma, load, store } from "../../kernels/vector.as";
import { across, addSquare, lower, upper } from "../../kernels/wide.as";

/**
 * LAMB's first pass over one block of `n` elements. It moves the moments m and v, writes the
 * direction u over the gradient, and leaves the sums of x² and u² of the block at `sums`, in
 * double. u = m/(√(scale2 v + inside) + outside) + decay × x. The correction of m is part of
 * `scale2`, `inside` and `outside`.
 */
export function lamb_moments(
  x: usize, g: usize, m: usize, v: usize, sums: usize, n: i32,
  beta1: f32, weight1: f32, beta2: f32, weight2: f32, scale2: f32, inside: f32, outside: f32, decay: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const s2 = f32x4.splat(scale2), e2 = f32x4.splat(inside), e = f32x4.splat(outside), d = f32x4.splat(decay);
  let x01 = f64x2.splat(0), x23 = x01, u01 = x01, u23 = x01;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    const value = load(x + i, true);
    const u = direction(value, g + i, m + i, v + i, b1, w1, b2, w2, s2, e2, e, d, true);
    x01 = addSquare(x01, lower(value));
    x23 = addSquare(x23, upper(value));
    u01 = addSquare(u01, lower(u));
    u23 = addSquare(u23, upper(u));
  }
  let sumX = across(x01) + across(x23), sumU = across(u01) + across(u23);
  for (; i < all; i += 4) {
    const value = load(x + i, false);
    const weight = <f64>f32x4.extract_lane(value, 0);
    const u = <f64>f32x4.extract_lane(direction(value, g + i, m + i, v + i, b1, w1, b2, w2, s2, e2, e, d, false), 0);
    sumX += weight * weight;
    sumU += u * u;
  }
  v128.store(sums, f64x2.replace_lane(f64x2.splat(sumX), 1, sumU));
}

/**
 * LAMB's second pass over `n` elements: x −= rate × u. The rate is lr times the tensor's trust
 * ratio.
 */
export function lamb_step(x: usize, u: usize, n: i32, rate: f32): void {
  const r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(x + i, fnma(r, load(u + i, true), load(x + i, true)), true);
  for (; i < all; i += 4) store(x + i, fnma(r, load(u + i, false), load(x + i, false)), false);
}

@inline
function direction(
  value: v128, g: usize, m: usize, v: usize, b1: v128, w1: v128, b2: v128, w2: v128, s2: v128, e2: v128, e: v128, decay: v128, full: bool,
): v128 {
  const gradient = load(g, full);
  const first = fma(w1, gradient, f32x4.mul(b1, load(m, full)));
  store(m, first, full);
  const second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full)));
  store(v, second, full);
  const u = fma(decay, value, f32x4.div(first, f32x4.add(f32x4.sqrt(fma(second, s2, e2)), e)));
  store(g, u, full);
  return u;
}
