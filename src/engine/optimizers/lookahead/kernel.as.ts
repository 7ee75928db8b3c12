import { fma, load, store } from "../../kernels/vector.as";

/**
 * Moves `n` slow weights part of the way to the fast ones, and sets the fast ones to the result.
 */
export function lookahead(fast: usize, slow: usize, n: i32, share: f32): void {
  const s = f32x4.splat(share);
  let i: usize = 0;
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  for (; i < whole; i += 16) element(fast + i, slow + i, s, true);
  for (; i < all; i += 4) element(fast + i, slow + i, s, false);
}

@inline
function element(fast: usize, slow: usize, share: v128, full: bool): void {
  let value = load(slow, full);
  value = fma(share, f32x4.sub(load(fast, full), value), value);
  store(slow, value, full);
  store(fast, value, full);
}
