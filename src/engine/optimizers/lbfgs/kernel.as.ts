import { fma, load, store } from "../../kernels/vector.as";
import { across, addSquare, lower, upper } from "../../kernels/wide.as";

/** The dot product of `n` elements of two vectors, in double. */
export function lbfgs_dot(a: usize, b: usize, n: i32): f64 {
  let even = f64x2.splat(0), odd = even;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    const x = load(a + i, true), y = load(b + i, true);
    even = f64x2.add(even, f64x2.mul(lower(x), lower(y)));
    odd = f64x2.add(odd, f64x2.mul(upper(x), upper(y)));
  }
  for (; i < all; i += 4) even = f64x2.add(even, f64x2.mul(lower(load(a + i, false)), lower(load(b + i, false))));
  return across(even) + across(odd);
}

/** out = x + factor × y */
export function lbfgs_add(out: usize, x: usize, y: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(out + i, fma(f, load(y + i, true), load(x + i, true)), true);
  for (; i < all; i += 4) store(out + i, fma(f, load(y + i, false), load(x + i, false)), false);
}

/** out = factor × x */
export function lbfgs_scale(out: usize, x: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) store(out + i, f32x4.mul(f, load(x + i, true)), true);
  for (; i < all; i += 4) store(out + i, f32x4.mul(f, load(x + i, false)), false);
}

/** The dot product of y = g − previous and d over `n` elements, in double. */
export function lbfgs_change_dot(g: usize, previous: usize, d: usize, n: i32): f64 {
  let even = f64x2.splat(0), odd = even;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    const y = f32x4.sub(load(g + i, true), load(previous + i, true)), z = load(d + i, true);
    even = f64x2.add(even, f64x2.mul(lower(y), lower(z)));
    odd = f64x2.add(odd, f64x2.mul(upper(y), upper(z)));
  }
  for (; i < all; i += 4) {
    const y = f32x4.sub(load(g + i, false), load(previous + i, false));
    even = f64x2.add(even, f64x2.mul(lower(y), lower(load(d + i, false))));
  }
  return across(even) + across(odd);
}

/** The sum of the squares of y = g − previous. */
export function lbfgs_change_square(g: usize, previous: usize, n: i32): f64 {
  let even = f64x2.splat(0), odd = even;
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) {
    const y = f32x4.sub(load(g + i, true), load(previous + i, true));
    even = addSquare(even, lower(y));
    odd = addSquare(odd, upper(y));
  }
  for (; i < all; i += 4) even = addSquare(even, lower(f32x4.sub(load(g + i, false), load(previous + i, false))));
  return across(even) + across(odd);
}
