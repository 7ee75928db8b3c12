import { chain, map } from "../../kernels/elementwise.as";

class Derivative {
  @inline of(x: v128, slope: v128, b: v128): v128 {
    return v128.bitselect(f32x4.splat(1), slope, f32x4.gt(x, f32x4.splat(0)));
  }
}

class LeakyRelu {
  @inline of(x: v128, slope: v128, b: v128): v128 {
    return v128.bitselect(x, f32x4.mul(x, slope), f32x4.gt(x, f32x4.splat(0)));
  }
}

export function leaky_relu_forward(x: usize, y: usize, n: i32, slope: f32): void {
  map<LeakyRelu>(x, y, n, slope);
}

export function leaky_relu_backward(x: usize, g: usize, d: usize, n: i32, slope: f32): void {
  chain<Derivative>(x, g, d, n, slope);
}
