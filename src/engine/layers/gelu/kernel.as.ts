import { chain, map } from "../../kernels/elementwise.as";
import { clamp, decay, gaussian, normalOf, sigmoid, sigmoidOf } from "../../kernels/math.as";
import { fma } from "../../kernels/vector.as";

class Gelu {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.mul(x, normalOf(x, gaussian(x)));
  }
}

/** Φ(x) + x φ(x) */
class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const g = gaussian(x);
    const density = f32x4.mul(g, f32x4.splat(0.3989422804)); // 1 / √(2π)
    return fma(x, density, normalOf(x, g));
  }
}

/**
 * 2 √(2/π) (x + 0.044715 x³): since (1 + tanh u) / 2 = sigmoid(2u), the approximation is x sigmoid
 * of this.
 */
@inline
function argument(x: v128): v128 {
  return f32x4.mul(x, fma(f32x4.mul(x, x), f32x4.splat(0.0713548163), f32x4.splat(1.5957691216)));
}

class GeluTanh {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.mul(x, sigmoid(argument(x)));
  }
}

/**
 * s + x s (1 − s) u′ with s = sigmoid(u), 1 − s = sigmoid(−u). Beyond ±15 it is 0 or 1, and x³
 * could overflow.
 */
class DerivativeTanh {
  @inline of(input: v128, a: v128, b: v128): v128 {
    const x = clamp(input, f32x4.splat(-15), f32x4.splat(15));
    const u = argument(x), e = decay(u);
    const s = sigmoidOf(u, e), rest = sigmoidOf(f32x4.neg(u), e);
    const slope = fma(f32x4.mul(x, x), f32x4.splat(0.2140644488), f32x4.splat(1.5957691216));
    return fma(f32x4.mul(f32x4.mul(s, rest), x), slope, s);
  }
}

export function gelu_forward(x: usize, y: usize, n: i32): void {
  map<Gelu>(x, y, n);
}

export function gelu_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}

export function gelu_tanh_forward(x: usize, y: usize, n: i32): void {
  map<GeluTanh>(x, y, n);
}

export function gelu_tanh_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<DerivativeTanh>(x, g, d, n);
}
