import { signOf } from "../../kernels/sign.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/** One fused pass of Lion over `n` elements. */
export function lion(
  x: usize, g: usize, m: usize, n: i32, beta1: f32, weight1: f32, beta2: f32, weight2: f32, decay: f32, rate: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const d = f32x4.splat(decay), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, b1, w1, b2, w2, d, r, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, b1, w1, b2, w2, d, r, false);
}

@inline
function element(
  x: usize, g: usize, m: usize, b1: v128, w1: v128, b2: v128, w2: v128, decay: v128, rate: v128, full: bool,
): void {
  const weight = load(x, full), gradient = load(g, full), average = load(m, full);
  const direction = signOf(fma(w1, gradient, f32x4.mul(b1, average)));
  store(m, fma(w2, gradient, f32x4.mul(b2, average)), full);
  store(x, fnma(rate, fma(decay, weight, direction), weight), full);
}
