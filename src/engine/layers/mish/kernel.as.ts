// With t = tanh(ln(1 + e^x)) = ((1 + e^x)² − 1) / ((1 + e^x)² + 1) the output is x t. In terms of
// e = e^−|x|, which cannot overflow:
//   t = n / (n + r),  with  n = 1 + 2 e, r = 2 e²   where x ≥ 0   (both sides divided by e^2x)
//                     and   n = e (e + 2), r = 2    where x < 0.
// So 1 − t = r / (n + r) keeps its digits where t is near 1.
import { chain, map } from "../../kernels/elementwise.as";
import { decay, sigmoidOf } from "../../kernels/math.as";
import { fma } from "../../kernels/vector.as";

@inline
function numerator(positive: v128, e: v128): v128 {
  const one = f32x4.splat(1), two = f32x4.splat(2);
  return v128.bitselect(fma(e, two, one), f32x4.mul(e, f32x4.add(e, two)), positive);
}

@inline
function rest(positive: v128, e: v128): v128 {
  const two = f32x4.splat(2);
  return v128.bitselect(f32x4.mul(two, f32x4.mul(e, e)), two, positive);
}

class Mish {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const e = decay(x), positive = f32x4.ge(x, f32x4.splat(0));
    const n = numerator(positive, e);
    return f32x4.mul(x, f32x4.div(n, f32x4.add(n, rest(positive, e))));
  }
}

/** t + x (1 − t) (1 + t) sigmoid(x) */
class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const e = decay(x), positive = f32x4.ge(x, f32x4.splat(0));
    const n = numerator(positive, e), r = rest(positive, e), all = f32x4.add(n, r);
    const t = f32x4.div(n, all);
    const slope = f32x4.mul(f32x4.div(r, all), f32x4.add(f32x4.splat(1), t));
    return fma(f32x4.mul(slope, sigmoidOf(x, e)), x, t);
  }
}

export function mish_forward(x: usize, y: usize, n: i32): void {
  map<Mish>(x, y, n);
}

export function mish_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
