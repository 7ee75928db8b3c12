import { chain, map } from "../../kernels/elementwise.as";
import { clamp } from "../../kernels/math.as";
import { fma } from "../../kernels/vector.as";

class Hardswish {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const shifted = f32x4.add(x, f32x4.splat(3));
    return f32x4.mul(x, f32x4.div(clamp(shifted, f32x4.splat(0), f32x4.splat(6)), f32x4.splat(6)));
  }
}

/** 0 up to −3, x / 3 + 1/2 below 3, and 1 from there on. */
class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const bent = fma(x, f32x4.splat(1.0 / 3.0), f32x4.splat(0.5));
    const high = v128.bitselect(f32x4.splat(1), bent, f32x4.ge(x, f32x4.splat(3)));
    return v128.andnot(high, f32x4.le(x, f32x4.splat(-3)));
  }
}

export function hardswish_forward(x: usize, y: usize, n: i32): void {
  map<Hardswish>(x, y, n);
}

export function hardswish_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
