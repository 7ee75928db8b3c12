/**
 * 1 if all `n` floats are finite, else 0. A finite number times zero is zero; an infinity or NaN
 * gives NaN, which stays in the sum.
 */
export function all_finite(x: usize, n: i32): i32 {
  const zero = f32x4.splat(0);
  let sum = zero;
  const whole = x + ((n & ~3) << 2), end = x + (n << 2);
  for (; x < whole; x += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(x), zero));
  for (; x < end; x += 4) sum = f32x4.add(sum, f32x4.mul(v128.load32_zero(x), zero));
  return i32(v128.all_true<i32>(f32x4.eq(sum, zero)));
}
