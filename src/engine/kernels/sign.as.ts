/** −1, 0 or 1; NaN gives NaN. */
@inline
export function signOf(x: v128): v128 {
  const one = v128.bitselect(f32x4.splat(1), x, v128.not(f32x4.splat(-0.0)));
  return v128.bitselect(one, x, f32x4.gt(f32x4.abs(x), f32x4.splat(0)));
}
