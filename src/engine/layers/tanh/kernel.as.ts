import { chain, map } from "../../kernels/elementwise.as";
import { tanh } from "../../kernels/math.as";
import { fnma } from "../../kernels/vector.as";

class Tanh {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return tanh(x);
  }
}

/** In terms of the output: 1 − y² */
class Derivative {
  @inline of(y: v128, a: v128, b: v128): v128 {
    return fnma(y, y, f32x4.splat(1));
  }
}

export function tanh_forward(x: usize, y: usize, n: i32): void {
  map<Tanh>(x, y, n);
}

export function tanh_backward(y: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(y, g, d, n);
}
