import { fma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of Adamax over `n` elements: PyTorch's arithmetic, in its order. `inside` is added
 * to |g|, `outside` to the denominator. `coupled` is weight_decay; `sign` is −1 for maximize.
 */
export function adamax(
  x: usize, g: usize, m: usize, u: usize, n: i32, sign: f32, coupled: f32, weight1: f32, beta2: f32,
  inside: f32, outside: f32, stepSize: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2);
  const i0 = f32x4.splat(inside), o = f32x4.splat(outside), a = f32x4.splat(stepSize);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, u + i, s, c, w1, b2, i0, o, a, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, u + i, s, c, w1, b2, i0, o, a, false);
}

@inline
function element(
  x: usize, g: usize, m: usize, u: usize, sign: v128, coupled: v128, w1: v128, b2: v128,
  inside: v128, outside: v128, stepSize: v128, full: bool,
): void {
  const weight = load(x, full);
  const gradient = fma(coupled, weight, f32x4.mul(sign, load(g, full)));
  let first = load(m, full);
  first = fma(w1, f32x4.sub(gradient, first), first);
  store(m, first, full);
  const largest = f32x4.max(f32x4.mul(b2, load(u, full)), f32x4.add(f32x4.abs(gradient), inside));
  store(u, largest, full);
  store(x, f32x4.sub(weight, f32x4.mul(stepSize, f32x4.div(first, f32x4.add(largest, outside)))), full);
}
