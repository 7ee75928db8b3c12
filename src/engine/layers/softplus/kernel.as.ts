import { chain, map } from "../../kernels/elementwise.as";
import { sigmoid, softplus } from "../../kernels/math.as";

class Softplus {
  @inline of(x: v128, beta: v128, threshold: v128): v128 {
    const z = f32x4.mul(beta, x);
    return v128.bitselect(x, f32x4.div(softplus(z), beta), f32x4.gt(z, threshold));
  }
}

class Derivative {
  @inline of(x: v128, beta: v128, threshold: v128): v128 {
    const z = f32x4.mul(beta, x);
    return v128.bitselect(f32x4.splat(1), sigmoid(z), f32x4.gt(z, threshold));
  }
}

export function softplus_forward(x: usize, y: usize, n: i32, beta: f32, threshold: f32): void {
  map<Softplus>(x, y, n, beta, threshold);
}

export function softplus_backward(x: usize, g: usize, d: usize, n: i32, beta: f32, threshold: f32): void {
  chain<Derivative>(x, g, d, n, beta, threshold);
}
