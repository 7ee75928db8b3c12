import { chain, map } from "../../kernels/elementwise.as";
import { expm1 } from "../../kernels/math.as";

const SCALE: f32 = 1.0507009873554804934193349852946;
/** scale × α, with α = 1.6732632423543772848170429916717 */
const LEAST: f32 = 1.7580993408473766;

class Selu {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const above = f32x4.mul(x, f32x4.splat(SCALE)), below = f32x4.mul(expm1(x), f32x4.splat(LEAST));
    return v128.bitselect(above, below, f32x4.gt(x, f32x4.splat(0)));
  }
}

/**
 * In terms of the output: scale α e^x = y + scale α where x ≤ 0, and y > 0 exactly where x > 0.
 */
class Derivative {
  @inline of(y: v128, a: v128, b: v128): v128 {
    return v128.bitselect(f32x4.splat(SCALE), f32x4.add(y, f32x4.splat(LEAST)), f32x4.gt(y, f32x4.splat(0)));
  }
}

export function selu_forward(x: usize, y: usize, n: i32): void {
  map<Selu>(x, y, n);
}

export function selu_backward(y: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(y, g, d, n);
}
