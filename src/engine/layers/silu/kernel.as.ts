import { chain, map } from "../../kernels/elementwise.as";
import { decay, sigmoid, sigmoidOf } from "../../kernels/math.as";
import { fma } from "../../kernels/vector.as";

class Silu {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.mul(x, sigmoid(x));
  }
}

/** s + x s (1 − s) with s = sigmoid(x), 1 − s = sigmoid(−x) */
class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const e = decay(x);
    const s = sigmoidOf(x, e), rest = sigmoidOf(f32x4.neg(x), e);
    return fma(f32x4.mul(s, rest), x, s);
  }
}

export function silu_forward(x: usize, y: usize, n: i32): void {
  map<Silu>(x, y, n);
}

export function silu_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
