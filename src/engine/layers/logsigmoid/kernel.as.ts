import { chain, map } from "../../kernels/elementwise.as";
import { sigmoid, softplus } from "../../kernels/math.as";

class LogSigmoid {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.neg(softplus(f32x4.neg(x)));
  }
}

class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return sigmoid(f32x4.neg(x));
  }
}

export function logsigmoid_forward(x: usize, y: usize, n: i32): void {
  map<LogSigmoid>(x, y, n);
}

export function logsigmoid_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
