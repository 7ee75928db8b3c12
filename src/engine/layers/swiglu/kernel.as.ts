// silu(a) × b: one layer's output decides how much of another's passes.
import { sigmoid } from "../../kernels/math.as";
import { fma, load as loadFloats, store as storeFloats } from "../../kernels/vector.as";

/** y = a sigmoid(a) b for `n` floats. */
export function gated_silu_forward(a: usize, b: usize, y: usize, n: i32): void {
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) forward(a + i, b + i, y + i, true);
  for (; i < all; i += 4) forward(a + i, b + i, y + i, false);
}

/** The gradients of a and b; an address of 0: not wanted. */
export function gated_silu_backward(a: usize, b: usize, g: usize, da: usize, db: usize, n: i32): void {
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) backward(a + i, b + i, g + i, da == 0 ? 0 : da + i, db == 0 ? 0 : db + i, true);
  for (; i < all; i += 4) backward(a + i, b + i, g + i, da == 0 ? 0 : da + i, db == 0 ? 0 : db + i, false);
}

@inline
function forward(a: usize, b: usize, y: usize, full: bool): void {
  const x = loadFloats(a, full);
  storeFloats(y, f32x4.mul(f32x4.mul(x, sigmoid(x)), loadFloats(b, full)), full);
}

/** With s = sigmoid(a): g b s (1 + a (1 − s)), and g a s. */
@inline
function backward(a: usize, b: usize, g: usize, da: usize, db: usize, full: bool): void {
  const x = loadFloats(a, full), slope = loadFloats(g, full), s = sigmoid(x), one = f32x4.splat(1);
  if (da != 0) {
    const bent = f32x4.mul(s, fma(x, f32x4.sub(one, s), one));
    storeFloats(da, f32x4.mul(f32x4.mul(slope, loadFloats(b, full)), bent), full);
  }
  if (db != 0) storeFloats(db, f32x4.mul(slope, f32x4.mul(x, s)), full);
}
