import { select } from "./vector.as";

/** −1, 0 or 1; NaN gives NaN. */
@inline
export function signOf(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const one = v128.or(v128.xor(x, magnitude), f32x4.splat(1));
  return select(one, x, f32x4.gt(magnitude, f32x4.splat(0)));
}
