import { fma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of Adagrad over `n` elements. `inside` is added to the sum of squares, under the
 * root; `outside` is added to the root. `coupled` is weight_decay; `sign` is −1 for maximize.
 */
export function adagrad(
  x: usize, g: usize, sum: usize, n: i32, sign: f32, coupled: f32, inside: f32, outside: f32, rate: f32,
): void {
  const s = f32x4.splat(sign), c = f32x4.splat(coupled), i0 = f32x4.splat(inside), o = f32x4.splat(outside), r = f32x4.splat(rate);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(x + i, g + i, sum + i, s, c, i0, o, r, true);
  for (; i < all; i += 4) element(x + i, g + i, sum + i, s, c, i0, o, r, false);
}

@inline
function element(
  x: usize, g: usize, sum: usize, sign: v128, coupled: v128, inside: v128, outside: v128, rate: v128, full: bool,
): void {
  const weight = load(x, full);
  const gradient = fma(coupled, weight, f32x4.mul(sign, load(g, full)));
  const squares = fma(gradient, gradient, load(sum, full));
  store(sum, squares, full);
  const denominator = f32x4.add(f32x4.sqrt(f32x4.add(squares, inside)), outside);
  store(x, f32x4.sub(weight, f32x4.mul(rate, f32x4.div(gradient, denominator))), full);
}
