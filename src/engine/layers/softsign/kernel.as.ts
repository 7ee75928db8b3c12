import { chain, map } from "../../kernels/elementwise.as";

@inline
function denominator(x: v128): v128 {
  return f32x4.add(f32x4.splat(1), f32x4.abs(x));
}

class Softsign {
  @inline of(x: v128, a: v128, b: v128): v128 {
    return f32x4.div(x, denominator(x));
  }
}

/** 1 / (1 + |x|)² */
class Derivative {
  @inline of(x: v128, a: v128, b: v128): v128 {
    const d = denominator(x);
    return f32x4.div(f32x4.splat(1), f32x4.mul(d, d));
  }
}

export function softsign_forward(x: usize, y: usize, n: i32): void {
  map<Softsign>(x, y, n);
}

export function softsign_backward(x: usize, g: usize, d: usize, n: i32): void {
  chain<Derivative>(x, g, d, n);
}
