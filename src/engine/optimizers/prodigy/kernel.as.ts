import { fma, fnma, load, store } from "../../kernels/vector.as";
import { across, lower, upper } from "../../kernels/wide.as";

/**
 * Prodigy's first pass over one block of `n` elements. It moves the averages m and v and the
 * weighted sum s of gradients, and leaves the sums of g × (x0 − x) and of |s| at `sums`, in double.
 */
export function prodigy_moments(
  x: usize, g: usize, m: usize, v: usize, s: usize, x0: usize, sums: usize, n: i32,
  beta1: f32, weight1: f32, beta2: f32, weight2: f32, beta3: f32, share: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const b3 = f32x4.splat(beta3), h = f32x4.splat(share);
  let products = f64x2.splat(0), sizes = f64x2.splat(0);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    const size = moments(g + i, m + i, v + i, s + i, b1, w1, b2, w2, b3, h, true);
    sizes = f64x2.add(sizes, f64x2.add(lower(size), upper(size)));
    const gradient = load(g + i, true), way = f32x4.sub(load(x0 + i, true), load(x + i, true));
    products = f64x2.add(products, f64x2.add(f64x2.mul(lower(gradient), lower(way)), f64x2.mul(upper(gradient), upper(way))));
  }
  // Lanes beyond the first are zero in the tail.
  for (; i < all; i += 4) {
    const size = moments(g + i, m + i, v + i, s + i, b1, w1, b2, w2, b3, h, false);
    sizes = f64x2.add(sizes, lower(size));
    products = f64x2.add(products, f64x2.mul(lower(load(g + i, false)), lower(f32x4.sub(load(x0 + i, false), load(x + i, false)))));
  }
  v128.store(sums, f64x2.replace_lane(f64x2.splat(across(products)), 1, across(sizes)));
}

/** Prodigy's second pass over `n` elements. */
export function prodigy_step(x: usize, m: usize, v: usize, n: i32, shrink: f32, eps: f32, rate: f32): void {
  const k = f32x4.splat(shrink), e = f32x4.splat(eps), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) step(x + i, m + i, v + i, k, e, r, true);
  for (; i < all; i += 4) step(x + i, m + i, v + i, k, e, r, false);
}

/** Returns |s|. */
@inline
function moments(
  g: usize, m: usize, v: usize, s: usize, b1: v128, w1: v128, b2: v128, w2: v128, b3: v128, share: v128, full: bool,
): v128 {
  const gradient = load(g, full);
  store(m, fma(w1, gradient, f32x4.mul(b1, load(m, full))), full);
  store(v, fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full))), full);
  const sum = fma(share, gradient, f32x4.mul(b3, load(s, full)));
  store(s, sum, full);
  return f32x4.abs(sum);
}

@inline
function step(x: usize, m: usize, v: usize, shrink: v128, eps: v128, rate: v128, full: bool): void {
  const direction = f32x4.div(load(m, full), f32x4.add(f32x4.sqrt(load(v, full)), eps));
  store(x, fnma(rate, direction, f32x4.mul(shrink, load(x, full))), full);
}
