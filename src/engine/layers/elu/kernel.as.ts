import { chain, map } from "../../kernels/elementwise.as";
import { expm1 } from "../../kernels/math.as";

class Elu {
  @inline of(x: v128, alpha: v128, b: v128): v128 {
    return v128.bitselect(x, f32x4.mul(alpha, expm1(x)), f32x4.gt(x, f32x4.splat(0)));
  }
}

/**
 * In terms of the output: α e^x = y + α where x ≤ 0, and y > 0 exactly where x > 0, since α ≥ 0.
 */
class Derivative {
  @inline of(y: v128, alpha: v128, b: v128): v128 {
    return v128.bitselect(f32x4.splat(1), f32x4.add(y, alpha), f32x4.gt(y, f32x4.splat(0)));
  }
}

export function elu_forward(x: usize, y: usize, n: i32, alpha: f32): void {
  map<Elu>(x, y, n, alpha);
}

export function elu_backward(y: usize, g: usize, d: usize, n: i32, alpha: f32): void {
  chain<Derivative>(y, g, d, n, alpha);
}
