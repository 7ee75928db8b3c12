import { chain, map } from "../../kernels/elementwise.as";
import { clamp } from "../../kernels/math.as";

class Hardsigmoid {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const shifted = f32x4.add(x, f32x4.splat(3));
    return f32x4.div(clamp(shifted, f32x4.splat(0), f32x4.splat(6)), f32x4.splat(6));
  }
}

class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return v128.andnot(f32x4.splat(1.0 / 6.0), f32x4.ge(f32x4.abs(x), f32x4.splat(3)));
  }
}

export function hardsigmoid_forward(x: usize, y: usize, n: i32): void {
  map<Hardsigmoid>(x, y, n);
}

export function hardsigmoid_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
