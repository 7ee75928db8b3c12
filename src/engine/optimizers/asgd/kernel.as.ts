import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of averaged SGD over `n` elements. The average moves towards the new weight by the
 * share `mu`; a share of 1 makes it the weight itself. `coupled` is weight_decay, `shrink` is 1 −
 * lambd × eta, `sign` is −1 for maximize.
 */
export function asgd(
  x: usize, g: usize, average: usize, n: i32, sign: f32, coupled: f32, shrink: f32, eta: f32, mu: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), k = f32x4.splat(shrink), e = f32x4.splat(eta), u = f32x4.splat(mu);
  const copied = mu == 1;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, average + i, s, c, k, e, u, copied, true);
  for (; i < all; i += 4) element(x + i, g + i, average + i, s, c, k, e, u, copied, false);
}

@inline
function element(
  x: usize, g: usize, average: usize, sign: v128, coupled: v128, shrink: v128, eta: v128, mu: v128, copied: bool, full: bool,
): void {
  let weight = load(x, full);
  const gradient = fma(coupled, weight, f32x4.mul(sign, load(g, full)));
  weight = fnma(eta, gradient, f32x4.mul(shrink, weight));
  store(x, weight, full);
  const mean = load(average, full);
  store(average, copied ? weight : fma(mu, f32x4.sub(weight, mean), mean), full);
}
