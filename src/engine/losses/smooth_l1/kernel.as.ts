import { differ } from "../../kernels/elementwise.as";
import { clamp } from "../../kernels/math.as";
import { fnma } from "../../kernels/vector.as";

// If s is d / β clamped to ±1, one formula covers both branches: the loss is s (d − s β / 2), and
// its derivative is s.
class SmoothL1 {
  @inline term(d: v128, beta: v128): v128 {
    const s = this.slope(d, beta);
    return f32x4.mul(s, fnma(s, f32x4.mul(beta, f32x4.splat(0.5)), d));
  }
  @inline slope(d: v128, beta: v128): v128 {
    return clamp(f32x4.div(d, beta), f32x4.splat(-1), f32x4.splat(1));
  }
}

/** `beta` is above 0. */
export function smooth_l1(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, beta: f32): void {
  differ<SmoothL1>(x, y, terms, gradient, n, scale, beta);
}
