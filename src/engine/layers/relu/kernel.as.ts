import { chain, map } from "../../kernels/elementwise.as";

class Relu {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.pmax(x, f32x4.splat(0));
  }
}

class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return v128.andnot(f32x4.splat(1), f32x4.le(x, f32x4.splat(0)));
  }
}

export function relu_forward(x: usize, y: usize, n: i32): void {
  map<Relu>(x, y, n);
}

/** The derivative is computed from the output, which is positive exactly where the input is. */
export function relu_backward(y: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(y, g, d, n);
}
