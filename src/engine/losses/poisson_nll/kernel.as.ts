import { compare } from "../../kernels/elementwise.as";
import { exp, log } from "../../kernels/math.as";
import { fma, fnma } from "../../kernels/vector.as";

/** Of logarithms x. The option `full` is 1 or 0. */
class LogCounts {
  @inline term(x: v128, y: v128, eps: v128, full: v128): v128 {
    return fma(full, stirling(y), fnma(y, x, exp(x)));
  }
  @inline slope(x: v128, y: v128, eps: v128, full: v128): v128 {
    return f32x4.sub(exp(x), y);
  }
}

/** Of counts x. */
class Counts {
  @inline term(x: v128, y: v128, eps: v128, full: v128): v128 {
    return fma(full, stirling(y), fnma(y, log(f32x4.add(x, eps)), x));
  }
  @inline slope(x: v128, y: v128, eps: v128, full: v128): v128 {
    return f32x4.sub(f32x4.splat(1), f32x4.div(y, f32x4.add(x, eps)));
  }
}

/** y ln y − y + ln(2 π y) / 2 where y > 1, else 0: (y + 1/2) ln y − y + ln(2 π) / 2. */
@inline
function stirling(y: v128): v128 {
  const constant = f32x4.sub(f32x4.splat(0.9189385332046727), y);
  const sum = fma(f32x4.add(y, f32x4.splat(0.5)), log(y), constant);
  return v128.and(sum, f32x4.gt(y, f32x4.splat(1)));
}

export function poisson_nll(
  x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, eps: f32, logarithms: bool, full: bool,
): void {
  if (logarithms) compare<LogCounts>(x, y, terms, gradient, n, scale, eps, full ? 1 : 0);
  else compare<Counts>(x, y, terms, gradient, n, scale, eps, full ? 1 : 0);
}
