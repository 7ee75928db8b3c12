import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of AdEMAMix over `n` elements. `correction` is the weight of the fast average,
 * `share` that of the slow one. `inside` is added to the second moment, under the root.
 */
export function ademamix(
  x: usize, g: usize, fast: usize, square: usize, old: usize, n: i32, beta1: f32, weight1: f32, beta2: f32, weight2: f32,
  beta3: f32, weight3: f32, correction: f32, share: f32, root2: f32, eps: f32, inside: f32, decay: f32, rate: f32,
): void {
  const b1 = f32x4.splat(beta1), w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const b3 = f32x4.splat(beta3), w3 = f32x4.splat(weight3), c = f32x4.splat(correction), s = f32x4.splat(share);
  const r2 = f32x4.splat(root2), e = f32x4.splat(eps), i0 = f32x4.splat(inside), d = f32x4.splat(decay), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, fast + i, square + i, old + i, b1, w1, b2, w2, b3, w3, c, s, r2, e, i0, d, r, true);
  for (; i < all; i += 4) element(x + i, g + i, fast + i, square + i, old + i, b1, w1, b2, w2, b3, w3, c, s, r2, e, i0, d, r, false);
}

@inline
function element(
  x: usize, g: usize, fast: usize, square: usize, old: usize, b1: v128, w1: v128, b2: v128, w2: v128, b3: v128, w3: v128,
  correction: v128, share: v128, root2: v128, eps: v128, inside: v128, decay: v128, rate: v128, full: bool,
): void {
  const weight = load(x, full), gradient = load(g, full);
  const near = fma(w1, gradient, f32x4.mul(b1, load(fast, full)));
  store(fast, near, full);
  const far = fma(w3, gradient, f32x4.mul(b3, load(old, full)));
  store(old, far, full);
  const second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(b2, load(square, full)));
  store(square, second, full);
  const denominator = f32x4.add(f32x4.div(f32x4.sqrt(f32x4.add(second, inside)), root2), eps);
  const direction = f32x4.div(fma(share, far, f32x4.mul(correction, near)), denominator);
  store(x, fnma(rate, fma(decay, weight, direction), weight), full);
}
