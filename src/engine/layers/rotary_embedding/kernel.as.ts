// Pairs of numbers that are turned by an angle proportional to their position in time. The pairs of
// a head are element i of its first half with element i of its second half.
import { fma, fnma, load as loadFloats, store as storeFloats } from "../../kernels/vector.as";

/**
 * Fills `cosines` and `sines`, [time, half] each: of the angles t × base^(−i / half). In double,
 * rounded once.
 */
export function rotary_table(cosines: usize, sines: usize, time: i32, half: i32, base: f64): void {
  for (let t = 0; t < time; t++) {
    for (let i = 0; i < half; i++, cosines += 4, sines += 4) {
      const angle = <f64>t * NativeMath.pow(base, -<f64>i / <f64>half);
      store<f32>(cosines, <f32>NativeMath.cos(angle));
      store<f32>(sines, <f32>NativeMath.sin(angle));
    }
  }
}

/**
 * Turns the first `turned` of `heads` heads of each of `time` rows, and copies the others;
 * backwards if `back`. y may be x.
 */
export function rotary_turn(
  x: usize, y: usize, cosines: usize, sines: usize, time: i32, heads: i32, turned: i32, half: i32, back: bool,
): void {
  const bytes = <usize>half << 2, rest = <usize>(heads - turned) * bytes * 2;
  for (let t = 0; t < time; t++) {
    for (let h = 0; h < turned; h++, x += 2 * bytes, y += 2 * bytes) {
      let i: usize = 0;
      for (const whole = bytes & ~15; i < whole; i += 16) turn(x + i, y + i, bytes, cosines + i, sines + i, back, true);
      for (; i < bytes; i += 4) turn(x + i, y + i, bytes, cosines + i, sines + i, back, false);
    }
    if (x != y && rest != 0) memory.copy(y, x, rest);
    x += rest;
    y += rest;
    cosines += bytes;
    sines += bytes;
  }
}

/** (p, q) → (p cos − q sin, q cos + p sin) */
@inline
function turn(x: usize, y: usize, bytes: usize, cosine: usize, sine: usize, back: bool, full: bool): void {
  const p = loadFloats(x, full), q = loadFloats(x + bytes, full), c = loadFloats(cosine, full);
  const s = back ? f32x4.neg(loadFloats(sine, full)) : loadFloats(sine, full);
  storeFloats(y, fnma(q, s, f32x4.mul(p, c)), full);
  storeFloats(y + bytes, fma(p, s, f32x4.mul(q, c)), full);
}
