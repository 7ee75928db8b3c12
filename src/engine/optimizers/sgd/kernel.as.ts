import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of stochastic gradient descent over `n` elements: PyTorch's arithmetic, in its
 * order. `buffer` is the address of momentum_buffer, or 0 without momentum. It becomes decay ×
 * buffer + weight × g. `lookahead` is Nesterov's momentum (0: the step is the buffer). `coupled` is
 * weight_decay; `sign` is −1 for maximize.
 */
export function sgd(
  x: usize, g: usize, buffer: usize, n: i32, sign: f32, coupled: f32, decay: f32, weight: f32, lookahead: f32, lr: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), d = f32x4.splat(decay);
  const w = f32x4.splat(weight), l = f32x4.splat(lookahead), r = f32x4.splat(lr);
  const nesterov = lookahead != 0;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, buffer == 0 ? 0 : buffer + i, s, c, d, w, l, r, nesterov, true);
  for (; i < all; i += 4) element(x + i, g + i, buffer == 0 ? 0 : buffer + i, s, c, d, w, l, r, nesterov, false);
}

@inline
function element(
  x: usize, g: usize, buffer: usize, sign: v128, coupled: v128, decay: v128, weight: v128, lookahead: v128, lr: v128,
  nesterov: bool, full: bool,
): void {
  const value = load(x, full);
  let step = fma(coupled, value, f32x4.mul(sign, load(g, full)));
  if (buffer != 0) {
    const momentum = fma(weight, step, f32x4.mul(decay, load(buffer, full)));
    store(buffer, momentum, full);
    step = nesterov ? fma(lookahead, momentum, step) : momentum;
  }
  store(x, fnma(lr, step, value), full);
}
