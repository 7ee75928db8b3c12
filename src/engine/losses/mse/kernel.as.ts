import { differ } from "../../kernels/elementwise.as";

class Mse {
  @inline term(d: v128, a: v128): v128 {
    return f32x4.mul(d, d);
  }
  @inline slope(d: v128, a: v128): v128 {
    return f32x4.add(d, d);
  }
}

export function mse(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32): void {
  differ<Mse>(x, y, terms, gradient, n, scale);
}
