// What averaging.ts does to a range of the averages.
import { fma, load, store } from "./vector.as";

/** average[i] += share × (value[i] − average[i]) for `count` float32. */
export function average(average: usize, value: usize, count: i32, share: f32): void {
  const s = f32x4.splat(share);
  const whole = (<usize>count & ~3) << 2, all = <usize>count << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) element(average + i, value + i, s, true);
  for (; i < all; i += 4) element(average + i, value + i, s, false);
}

@inline
function element(average: usize, value: usize, share: v128, full: bool): void {
  const before = load(average, full);
  store(average, fma(share, f32x4.sub(load(value, full), before), before), full);
}
