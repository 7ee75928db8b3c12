import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of RAdam over `n` elements. `rectified` is 1 if the step is divided by the root of
 * the second moment, and 0 if it is not yet. `coupled` is weight_decay; `shrink` is 1 − lr ×
 * weight_decay if it is decoupled; `sign` is −1 for maximize.
 */
export function radam(
  x: usize, g: usize, m: usize, v: usize, n: i32, sign: f32, coupled: f32, shrink: f32,
  weight1: f32, beta2: f32, weight2: f32, eps: f32, stepSize: f32, rectified: i32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), k = f32x4.splat(shrink), w1 = f32x4.splat(weight1);
  const b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2), e = f32x4.splat(eps), a = f32x4.splat(stepSize);
  const divided = rectified != 0;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, v + i, s, c, k, w1, b2, w2, e, a, divided, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, v + i, s, c, k, w1, b2, w2, e, a, divided, false);
}

@inline
function element(
  x: usize, g: usize, m: usize, v: usize, sign: v128, coupled: v128, shrink: v128,
  w1: v128, b2: v128, w2: v128, eps: v128, stepSize: v128, divided: bool, full: bool,
): void {
  const weight = load(x, full);
  const gradient = fma(coupled, weight, f32x4.mul(sign, load(g, full)));
  let first = load(m, full);
  first = fma(w1, f32x4.sub(gradient, first), first);
  store(m, first, full);
  const second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(v, full)));
  store(v, second, full);
  const step = divided ? f32x4.div(first, f32x4.add(f32x4.sqrt(second), eps)) : first;
  store(x, fnma(stepSize, step, f32x4.mul(shrink, weight)), full);
}
