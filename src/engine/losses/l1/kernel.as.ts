import { differ } from "../../kernels/elementwise.as";

class L1 {
  @inline term(d: v128, a: v128): v128 {
    return f32x4.abs(d);
  }
  /** The sign of d, or d itself if that has no sign (0, NaN). */
  @inline slope(d: v128, a: v128): v128 {
    const sign = v128.bitselect(d, f32x4.splat(1), i32x4.splat(0x80000000));
    return v128.bitselect(sign, d, f32x4.gt(f32x4.abs(d), f32x4.splat(0)));
  }
}

export function l1(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32): void {
  differ<L1>(x, y, terms, gradient, n, scale);
}
