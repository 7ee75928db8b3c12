// What is done to a range of the gradient before an optimizer sees it.
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

/** to[i] += from[i] for `count` float32. */
export function add(to: usize, from: usize, count: i32): void {
  const whole = (<usize>count & ~3) << 2, all = <usize>count << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(to + i, f32x4.add(load(to + i, true), load(from + i, true)), true);
  for (; i < all; i += 4) store(to + i, f32x4.add(load(to + i, false), load(from + i, false)), false);
}
