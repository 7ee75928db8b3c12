import { compare } from "../../kernels/elementwise.as";
import { select } from "../../kernels/vector.as";

// As in PyTorch, x counts unless y = −1, and the hinge counts unless y = 1: both of another y.
class HingeEmbedding {
  @inline term(x: v128, y: v128, margin: v128, b: v128): v128 {
    const hinge = f32x4.pmax(f32x4.sub(margin, x), f32x4.splat(0));
    return f32x4.add(v128.and(x, apart(y, -1)), v128.and(hinge, apart(y, 1)));
  }
  /** The hinge's derivative at its corner is −1. NaN stays NaN. */
  @inline slope(x: v128, y: v128, margin: v128, b: v128): v128 {
    const hinge = v128.andnot(f32x4.splat(-1), f32x4.gt(x, margin));
    const slope = f32x4.add(v128.and(f32x4.splat(1), apart(y, -1)), v128.and(hinge, apart(y, 1)));
    return select(slope, x, f32x4.eq(x, x));
  }
}

@inline
function apart(y: v128, sign: f32): v128 {
  return f32x4.ne(y, f32x4.splat(sign));
}

export function hinge_embedding(
  x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, margin: f32,
): void {
  compare<HingeEmbedding>(x, y, terms, gradient, n, scale, margin);
}
