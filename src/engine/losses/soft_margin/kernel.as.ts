import { compare } from "../../kernels/elementwise.as";
import { sigmoid, softplus } from "../../kernels/math.as";

class SoftMargin {
  @inline term(x: v128, y: v128, a: v128, b: v128): v128 {
    return softplus(f32x4.neg(f32x4.mul(y, x)));
  }
  @inline slope(x: v128, y: v128, a: v128, b: v128): v128 {
    return f32x4.neg(f32x4.mul(y, sigmoid(f32x4.neg(f32x4.mul(y, x)))));
  }
}

export function soft_margin(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32): void {
  compare<SoftMargin>(x, y, terms, gradient, n, scale);
}
