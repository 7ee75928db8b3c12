import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of Adadelta over `n` elements: PyTorch's arithmetic, in its order. `coupled` is
 * weight_decay; `sign` is −1 for maximize.
 */
export function adadelta(
  x: usize, g: usize, v: usize, a: usize, n: i32, sign: f32, coupled: f32, rho: f32, weight: f32, eps: f32, rate: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), h = f32x4.splat(rho), w = f32x4.splat(weight);
  const e = f32x4.splat(eps), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, v + i, a + i, s, c, h, w, e, r, true);
  for (; i < all; i += 4) element(x + i, g + i, v + i, a + i, s, c, h, w, e, r, false);
}

@inline
function element(
  x: usize, g: usize, v: usize, a: usize, sign: v128, coupled: v128, rho: v128, weight: v128, eps: v128, rate: v128, full: bool,
): void {
  const value = load(x, full);
  const gradient = fma(coupled, value, f32x4.mul(sign, load(g, full)));
  const square = fma(f32x4.mul(weight, gradient), gradient, f32x4.mul(rho, load(v, full)));
  store(v, square, full);
  const before = load(a, full);
  const roots = f32x4.div(f32x4.sqrt(f32x4.add(before, eps)), f32x4.sqrt(f32x4.add(square, eps)));
  const step = f32x4.mul(roots, gradient);
  store(a, fma(f32x4.mul(weight, step), step, f32x4.mul(rho, before)), full);
  store(x, fnma(rate, step, value), full);
}
