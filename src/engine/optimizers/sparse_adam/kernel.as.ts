import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * One fused pass of sparse Adam over `n` elements in rows of `row`. Rows whose gradient is all
 * zeros are left alone, unless `listed`. `sign` is −1 for maximize.
 */
export function sparse_adam(
  x: usize, g: usize, m: usize, v: usize, n: i32, row: i32, listed: i32, sign: f32, weight1: f32, weight2: f32, eps: f32, stepSize: f32,
): void {
  const s = f32x4.splat(sign), w1 = f32x4.splat(weight1), w2 = f32x4.splat(weight2), e = f32x4.splat(eps), a = f32x4.splat(stepSize);
  const stride = <usize>row << 2, body = (<usize>row & ~3) << 2, last = <usize>n << 2;
  for (let begin: usize = 0; begin < last; begin += stride) {
    if (!listed && untouched(g + begin, body, stride)) continue;
    const whole = begin + body, all = begin + stride;
    let i = begin;
    for (; i < whole; i += 16) element(x + i, g + i, m + i, v + i, s, w1, w2, e, a, true);
    for (; i < all; i += 4) element(x + i, g + i, m + i, v + i, s, w1, w2, e, a, false);
  }
}

@inline
function untouched(g: usize, body: usize, all: usize): bool {
  const zero = f32x4.splat(0);
  let i: usize = 0;
  for (; i < body; i += 16) if (v128.any_true(f32x4.ne(load(g + i, true), zero))) return false;
  for (; i < all; i += 4) if (v128.any_true(f32x4.ne(load(g + i, false), zero))) return false;
  return true;
}

@inline
function element(
  x: usize, g: usize, m: usize, v: usize, sign: v128, w1: v128, w2: v128, eps: v128, stepSize: v128, full: bool,
): void {
  const gradient = f32x4.mul(sign, load(g, full));
  let first = load(m, full), second = load(v, full);
  first = fma(w1, f32x4.sub(gradient, first), first);
  second = fma(w2, f32x4.sub(f32x4.mul(gradient, gradient), second), second);
  store(m, first, full);
  store(v, second, full);
  store(x, fnma(stepSize, f32x4.div(first, f32x4.add(f32x4.sqrt(second), eps)), load(x, full)), full);
}
