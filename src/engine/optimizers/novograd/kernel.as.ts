import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * NovoGrad's step over `n` elements. The gradients of their tensor are divided by `denominator`.
 */
export function novograd(x: usize, g: usize, m: usize, n: i32, denominator: f32, decay: f32, beta1: f32, rate: f32): void {
  const v = f32x4.splat(denominator), d = f32x4.splat(decay), b1 = f32x4.splat(beta1), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, v, d, b1, r, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, v, d, b1, r, false);
}

@inline
function element(x: usize, g: usize, m: usize, denominator: v128, decay: v128, b1: v128, rate: v128, full: bool): void {
  const weight = load(x, full);
  const direction = fma(decay, weight, f32x4.div(load(g, full), denominator));
  const momentum = fma(b1, load(m, full), direction);
  store(m, momentum, full);
  store(x, fnma(rate, momentum, weight), full);
}
