// What is done to a range of the gradient before an optimizer sees it.
import { norm_part } from "./reduce.kernel.as";
import { load, store } from "./vector.as";

/** Multiplies `count` float32 by `factor`. */
export function scale(address: usize, count: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  const whole = address + (<usize>(count & ~3) << 2), end = address + (<usize>count << 2);
  let at = address;
  for (; at < whole; at += 16) store(at, f32x4.mul(load(at, true), f), true);
  for (; at < end; at += 4) store(at, f32x4.mul(load(at, false), f), false);
}

/** Clamps `count` float32 to [−bound, bound]; a NaN stays one. */
export function clamp(address: usize, count: i32, bound: f32): void {
  const upper = f32x4.splat(bound), lower = f32x4.splat(-bound);
  const whole = address + (<usize>(count & ~3) << 2), end = address + (<usize>count << 2);
  let at = address;
  for (; at < whole; at += 16) store(at, f32x4.max(lower, f32x4.min(load(at, true), upper)), true);
  for (; at < end; at += 4) store(at, f32x4.max(lower, f32x4.min(load(at, false), upper)), false);
}

/** to[i] = from[i] for `count` float32. */
export function copy(to: usize, from: usize, count: i32): void {
  const whole = (<usize>count & ~3) << 2, all = <usize>count << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(to + i, load(from + i, true), true);
  for (; i < all; i += 4) store(to + i, load(from + i, false), false);
}

/** to[i] += from[i] for `count` float32. */
export function add(to: usize, from: usize, count: i32): void {
  const whole = (<usize>count & ~3) << 2, all = <usize>count << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(to + i, f32x4.add(load(to + i, true), load(from + i, true)), true);
  for (; i < all; i += 4) store(to + i, f32x4.add(load(to + i, false), load(from + i, false)), false);
}

/**
 * Scales each of `units` rows of `length` float32 down to `clipping` times the norm of its weights,
 * which counts as at least `eps`. Norms are in double; NaN among gradients or weights makes the row
 * NaN.
 */
export function clip_units(gradient: usize, weight: usize, units: i32, length: i32, clipping: f64, eps: f64): void {
  for (let unit = 0; unit < units; unit++) {
    const offset = <usize>unit * <usize>length << 2;
    const norm = sqrt<f64>(norm_part(gradient + offset, length, 2));
    const limit = clipping * max(sqrt<f64>(norm_part(weight + offset, length, 2)), eps);
    if (norm < limit) continue;
    scale(gradient + offset, length, <f32>(limit / max(norm, 1e-6)));
  }
}
