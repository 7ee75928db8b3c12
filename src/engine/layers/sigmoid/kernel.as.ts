import { chain, map } from "../../kernels/elementwise.as";
import { sigmoid } from "../../kernels/math.as";

class Sigmoid {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return sigmoid(x);
  }
}

/** In terms of the output: y (1 − y) */
class Derivative {
  @inline of(y: v128, a: v128, b: v128): v128 {
    return f32x4.mul(y, f32x4.sub(f32x4.splat(1), y));
  }
}

export function sigmoid_forward(x: usize, y: usize, n: i32): void {
  map<Sigmoid>(x, y, n);
}

export function sigmoid_backward(y: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(y, g, d, n);
}
