import { fma } from "./vector.as";

/** a × b + c as the kernels compute it; tells whether it is rounded once. */
export function multiply_add(a: f32, b: f32, c: f32): f32 {
  return f32x4.extract_lane(fma(f32x4.splat(a), f32x4.splat(b), f32x4.splat(c)), 0);
}
