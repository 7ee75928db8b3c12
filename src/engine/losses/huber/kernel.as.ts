import { differ } from "../../kernels/elementwise.as";
import { clamp } from "../../kernels/math.as";
import { fnma } from "../../kernels/vector.as";

// If e is d clamped to ±δ, one formula covers both branches: the loss is e (d − e / 2), and its
// derivative is e.
class Huber {
  @inline term(d: v128, delta: v128): v128 {
    const e = this.slope(d, delta);
    return f32x4.mul(e, fnma(e, f32x4.splat(0.5), d));
  }
  @inline slope(d: v128, delta: v128): v128 {
    return clamp(d, f32x4.neg(delta), delta);
  }
}

export function huber(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, delta: f32): void {
  differ<Huber>(x, y, terms, gradient, n, scale, delta);
}
