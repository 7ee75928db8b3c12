import { clamp } from "../../kernels/math.as";
import { signOf } from "../../kernels/sign.as";
import { fnma, load, select, store } from "../../kernels/vector.as";

/**
 * One fused pass of Rprop over `n` elements. `first` is the initial step size of every weight at
 * the first step, and 0 later. `sign` is −1 for maximize.
 */
export function rprop(
  x: usize, g: usize, previous: usize, step: usize, n: i32, sign: f32, shorter: f32, longer: f32, least: f32, most: f32, first: f32,
): void {
  const s = f32x4.splat(sign), m = f32x4.splat(shorter), p = f32x4.splat(longer);
  const l = f32x4.splat(least), h = f32x4.splat(most), f = f32x4.splat(first);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, previous + i, step + i, s, m, p, l, h, f, true);
  for (; i < all; i += 4) element(x + i, g + i, previous + i, step + i, s, m, p, l, h, f, false);
}

@inline
function element(
  x: usize, g: usize, previous: usize, step: usize, sign: v128, shorter: v128, longer: v128, least: v128, most: v128, first: v128, full: bool,
): void {
  const zero = f32x4.splat(0);
  let gradient = f32x4.mul(sign, load(g, full));
  const product = f32x4.mul(gradient, load(previous, full));
  const turned = f32x4.lt(product, zero);
  const factor = select(longer, select(shorter, f32x4.splat(1), turned), f32x4.gt(product, zero));
  const size = clamp(f32x4.mul(f32x4.add(load(step, full), first), factor), least, most);
  gradient = v128.andnot(gradient, turned);
  store(step, size, full);
  store(previous, gradient, full);
  store(x, fnma(signOf(gradient), size, load(x, full)), full);
}
