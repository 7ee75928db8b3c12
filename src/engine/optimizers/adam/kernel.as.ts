import { fma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of Adam over `n` elements: PyTorch's arithmetic, in its order. `coupled` is
 * weight_decay (0: none). `shrink` is 1 − lr × weight_decay in AdamW (1: none). `sign` is −1 for
 * maximize. `maximum` is the address of max_exp_avg_sq, or 0 without AMSGrad. `inside` is added to
 * the second moment, under the root.
 */
export function adam(
  x: usize, g: usize, m: usize, v: usize, maximum: usize, n: i32, sign: f32, coupled: f32, shrink: f32,
  weight1: f32, beta2: f32, weight2: f32, stepSize: f32, root2: f32, eps: f32, inside: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), k = f32x4.splat(shrink);
  const w1 = f32x4.splat(weight1), b2 = f32x4.splat(beta2), w2 = f32x4.splat(weight2);
  const a = f32x4.splat(stepSize), r = f32x4.splat(root2), e = f32x4.splat(eps), n2 = f32x4.splat(inside);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, m + i, v + i, maximum == 0 ? 0 : maximum + i, s, c, k, w1, b2, w2, a, r, e, n2, true);
  for (; i < all; i += 4) element(x + i, g + i, m + i, v + i, maximum == 0 ? 0 : maximum + i, s, c, k, w1, b2, w2, a, r, e, n2, false);
}

@inline
function element(
  x: usize, g: usize, m: usize, v: usize, maximum: usize, sign: v128, coupled: v128, shrink: v128,
  w1: v128, b2: v128, w2: v128, stepSize: v128, root2: v128, eps: v128, inside: v128, full: bool,
): void {
  let weight = load(x, full);
  let gradient = fma(coupled, weight, f32x4.mul(sign, load(g, full)));
  weight = f32x4.mul(weight, shrink);
  let first = load(m, full);
  first = fma(w1, f32x4.sub(gradient, first), first);
  store(m, first, full);
  let second = fma(f32x4.mul(w2, gradient), gradient, f32x4.mul(load(v, full), b2));
  store(v, second, full);
  if (maximum != 0) {
    second = f32x4.max(second, load(maximum, full));
    store(maximum, second, full);
  }
  const denominator = f32x4.add(f32x4.div(f32x4.sqrt(f32x4.add(second, inside)), root2), eps);
  store(x, f32x4.sub(weight, f32x4.mul(stepSize, f32x4.div(first, denominator))), full);
}
