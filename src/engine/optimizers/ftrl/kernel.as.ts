import { clamp } from "../../kernels/math.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of FTRL-Proximal over `n` elements. `inverse` is 1/lr. `penalty` is what the
 * denominator adds to a^p/lr. `shrinkage` is twice l2_shrinkage. Powers other than ½ are computed
 * in double, one element at a time.
 */
export function ftrl(
  x: usize, g: usize, accumulator: usize, linear: usize, n: i32, power: f64, inverse: f32, l1: f32, penalty: f32, shrinkage: f32,
): void {
  if (power == 0.5) each(true, x, g, accumulator, linear, n, power, inverse, l1, penalty, shrinkage);
  else each(false, x, g, accumulator, linear, n, power, inverse, l1, penalty, shrinkage);
}

@inline
function each(
  root: bool, x: usize, g: usize, accumulator: usize, linear: usize, n: i32, power: f64, inverse: f32, l1: f32, penalty: f32, shrinkage: f32,
): void {
  const v = f32x4.splat(inverse), l = f32x4.splat(l1), p = f32x4.splat(penalty), s = f32x4.splat(shrinkage);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(root, x + i, g + i, accumulator + i, linear + i, power, v, l, p, s, true);
  for (; i < all; i += 4) element(root, x + i, g + i, accumulator + i, linear + i, power, v, l, p, s, false);
}

@inline
function element(
  root: bool, x: usize, g: usize, accumulator: usize, linear: usize, power: f64, inverse: v128, l1: v128, penalty: v128, shrinkage: v128,
  full: bool,
): void {
  const weight = load(x, full), gradient = load(g, full), before = load(accumulator, full);
  const after = fma(gradient, gradient, before);
  store(accumulator, after, full);
  const strength = root ? f32x4.sqrt(after) : eachPower(after, power);
  const growth = f32x4.mul(f32x4.sub(strength, root ? f32x4.sqrt(before) : eachPower(before, power)), inverse);
  const sum = fnma(growth, weight, f32x4.add(load(linear, full), fma(shrinkage, weight, gradient)));
  store(linear, sum, full);
  const kept = clamp(sum, f32x4.neg(l1), l1);
  store(x, f32x4.div(f32x4.sub(kept, sum), fma(strength, inverse, penalty)), full);
}

function eachPower(x: v128, power: f64): v128 {
  return f32x4(
    <f32>NativeMath.pow(f32x4.extract_lane(x, 0), power),
    <f32>NativeMath.pow(f32x4.extract_lane(x, 1), power),
    <f32>NativeMath.pow(f32x4.extract_lane(x, 2), power),
    <f32>NativeMath.pow(f32x4.extract_lane(x, 3), power),
  );
}
