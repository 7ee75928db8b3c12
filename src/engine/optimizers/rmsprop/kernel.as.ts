import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of RMSprop over `n` elements: PyTorch's arithmetic, in its order. `average` is the
 * address of grad_avg, or 0 if not centered. `buffer` is the address of momentum_buffer, or 0
 * without momentum. `alpha` and `weight` = 1 − alpha move the averages. `coupled` is weight_decay;
 * `sign` is −1 for maximize. `inside` is added to the mean square, under the root; `outside` is
 * added to the root. Steps are multiplied by `scale` before they enter the buffer, and by `lr`
 * afterwards.
 */
export function rmsprop(
  x: usize, g: usize, square: usize, average: usize, buffer: usize, n: i32, sign: f32, coupled: f32,
  alpha: f32, weight: f32, inside: f32, outside: f32, momentum: f32, scale: f32, lr: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), a = f32x4.splat(alpha), w = f32x4.splat(weight);
  const e = f32x4.splat(inside), o = f32x4.splat(outside), m = f32x4.splat(momentum), p = f32x4.splat(scale), r = f32x4.splat(lr);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    element(x + i, g + i, square + i, average == 0 ? 0 : average + i, buffer == 0 ? 0 : buffer + i, s, c, a, w, e, o, m, p, r, true);
  }
  for (; i < all; i += 4) {
    element(x + i, g + i, square + i, average == 0 ? 0 : average + i, buffer == 0 ? 0 : buffer + i, s, c, a, w, e, o, m, p, r, false);
  }
}

@inline
function element(
  x: usize, g: usize, square: usize, average: usize, buffer: usize, sign: v128, coupled: v128,
  alpha: v128, weight: v128, inside: v128, outside: v128, momentum: v128, scale: v128, lr: v128, full: bool,
): void {
  const value = load(x, full);
  const gradient = fma(coupled, value, f32x4.mul(sign, load(g, full)));
  let second = fma(f32x4.mul(weight, gradient), gradient, f32x4.mul(load(square, full), alpha));
  store(square, second, full);
  if (average != 0) {
    let mean = load(average, full);
    mean = fma(weight, f32x4.sub(gradient, mean), mean);
    store(average, mean, full);
    // Rounding can take the variance of a constant gradient below 0. torch's root is NaN then.
    second = f32x4.max(fnma(mean, mean, second), f32x4.splat(0));
  }
  const denominator = f32x4.add(f32x4.sqrt(f32x4.add(second, inside)), outside);
  if (buffer == 0) {
    store(x, f32x4.sub(value, f32x4.div(f32x4.mul(f32x4.mul(lr, scale), gradient), denominator)), full);
  } else {
    const step = f32x4.add(f32x4.mul(momentum, load(buffer, full)), f32x4.mul(scale, f32x4.div(gradient, denominator)));
    store(buffer, step, full);
    store(x, fnma(lr, step, value), full);
  }
}
