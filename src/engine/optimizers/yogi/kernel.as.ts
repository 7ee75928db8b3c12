import { signOf } from "../../kernels/sign.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/** One fused pass of Yogi over `n` elements. `scale2` is 1/√(1 − β₂ᵗ). */
export function yogi(
  x: usize, g: usize, m: usize, v: usize, n: i32, beta1: f32, weight1: f32, weight2: f32, scale2: f32, eps: f32, stepSize: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), w2 = f32x4.splat(weight2);
  const r2 = f32x4.splat(scale2), e = f32x4.splat(eps), a = f32x4.splat(stepSize);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, v + i, b1, w1, w2, r2, e, a, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, v + i, b1, w1, w2, r2, e, a, false);
}

@inline
function element(
  x: usize, g: usize, m: usize, v: usize, b1: v128, w1: v128, w2: v128, scale2: v128, eps: v128, stepSize: v128, full: bool,
): void {
  const gradient = load(g, full);
  const first = fma(w1, gradient, f32x4.mul(b1, load(m, full)));
  store(m, first, full);
  let second = load(v, full);
  const square = f32x4.mul(gradient, gradient);
  second = fnma(f32x4.mul(w2, signOf(f32x4.sub(second, square))), square, second);
  store(v, second, full);
  const denominator = fma(f32x4.sqrt(second), scale2, eps);
  store(x, f32x4.sub(load(x, full), f32x4.mul(stepSize, f32x4.div(first, denominator))), full);
}
