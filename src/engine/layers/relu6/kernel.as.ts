import { chain, map } from "../../kernels/elementwise.as";
import { clamp } from "../../kernels/math.as";

class Relu6 {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return clamp(x, f32x4.splat(0), f32x4.splat(6));
  }
}

class Derivative {
  @inline of(y: v128, a: v128, b: v128): v128 {
    const flat = v128.or(f32x4.le(y, f32x4.splat(0)), f32x4.ge(y, f32x4.splat(6)));
    return v128.andnot(f32x4.splat(1), flat);
  }
}

export function relu6_forward(x: usize, y: usize, n: i32): void {
  map<Relu6>(x, y, n);
}

/** The output is between 0 and 6 exactly where the input is. */
export function relu6_backward(y: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(y, g, d, n);
}
