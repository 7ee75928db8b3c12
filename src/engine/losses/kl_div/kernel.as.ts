import { compare } from "../../kernels/elementwise.as";
import { exp, log } from "../../kernels/math.as";
import { select } from "../../kernels/vector.as";

class KlDiv {
  /** Where y = 0 the logarithm of 1 stands in, so that no infinity is multiplied by 0. */
  @inline term(x: v128, y: v128, a: v128, b: v128): v128 {
    const logarithm = log(select(f32x4.splat(1), y, f32x4.eq(y, f32x4.splat(0))));
    return f32x4.mul(y, f32x4.sub(logarithm, x));
  }
  @inline slope(x: v128, y: v128, a: v128, b: v128): v128 {
    return spread(f32x4.neg(y), x);
  }
}

class LogKlDiv {
  @inline term(x: v128, y: v128, a: v128, b: v128): v128 {
    return f32x4.mul(exp(y), f32x4.sub(y, x));
  }
  @inline slope(x: v128, y: v128, a: v128, b: v128): v128 {
    return spread(f32x4.neg(exp(y)), x);
  }
}

/** `slope`, or NaN where x is. */
@inline
function spread(slope: v128, x: v128): v128 {
  return select(slope, x, f32x4.eq(x, x));
}

export function kl_div(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32): void {
  compare<KlDiv>(x, y, terms, gradient, n, scale);
}

export function kl_div_log(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32): void {
  compare<LogKlDiv>(x, y, terms, gradient, n, scale);
}
