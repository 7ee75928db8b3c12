// What the normalizing layers share: sums over a run of floats, and the arithmetic of an element.
//
// Sums are taken in double, in an order that depends on the run's length alone: element i goes to
// running sum i mod 8, the eight are added as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)), and the
// elements after the last whole eight are added to that one by one.
//
// A normalized element is x̂ = (x − mean) / √(variance + eps); `scale` is 1 / √(variance + eps).
import { fma, load, store } from "./vector.as";
import { across, lower, upper } from "./wide.as";

/** What a sum adds up: a class with a method for the elements at byte i. */
class Value {
  @inline of(x: v128, mean: v128): v128 {
    return x;
  }
}

/** (x − mean)²: the mean is not subtracted afterwards, because that could cancel. */
class Deviation {
  @inline of(x: v128, mean: v128): v128 {
    const d = f32x4.sub(x, mean);
    return f32x4.mul(d, d);
  }
}

@inline
function total<F>(x: usize, n: i32, mean: f32): f64 {
  const f = changetype<F>(0), m = f32x4.splat(mean);
  const whole = x + (<usize>(n & ~7) << 2), end = x + (<usize>n << 2);
  let a = f64x2.splat(0), b = a, c = a, d = a;
  for (; x < whole; x += 32) {
    const left = f.of(v128.load(x), m), right = f.of(v128.load(x, 16), m);
    a = f64x2.add(a, lower(left));
    b = f64x2.add(b, upper(left));
    c = f64x2.add(c, lower(right));
    d = f64x2.add(d, upper(right));
  }
  let sum = (across(a) + across(b)) + (across(c) + across(d));
  for (; x < end; x += 4) sum += <f64>f32x4.extract_lane(f.of(v128.load32_zero(x), m), 0);
  return sum;
}

/** Σ x */
export function sumOf(x: usize, n: i32): f64 {
  return total<Value>(x, n, 0);
}

/** Σ (x − mean)² */
export function deviations(x: usize, n: i32, mean: f32): f64 {
  return total<Deviation>(x, n, mean);
}

/** Σ g x̂, as `slopes` finds it where there is no weight. Its Σ g is `sumOf(g)`. */
export function dotOf(x: usize, g: usize, n: i32, mean: f32, scale: f32): f64 {
  const m = f32x4.splat(mean), s = f32x4.splat(scale);
  const whole = <usize>(n & ~7) << 2, all = <usize>n << 2;
  let a = f64x2.splat(0), b = a, c = a, d = a;
  let i: usize = 0;
  for (; i < whole; i += 32) {
    const left = f32x4.mul(v128.load(g + i), normal(v128.load(x + i), m, s));
    const right = f32x4.mul(v128.load(g + i, 16), normal(v128.load(x + i, 16), m, s));
    a = f64x2.add(a, lower(left));
    b = f64x2.add(b, upper(left));
    c = f64x2.add(c, lower(right));
    d = f64x2.add(d, upper(right));
  }
  let sum = (across(a) + across(b)) + (across(c) + across(d));
  for (; i < all; i += 4) sum += <f64>f32x4.extract_lane(f32x4.mul(v128.load32_zero(g + i), normal(v128.load32_zero(x + i), m, s)), 0);
  return sum;
}

/** What `slopes` found. Every thread has a module, and so these, of its own. */
export let slopeSum: f64 = 0;
export let slopeDot: f64 = 0;

/** slopeSum = Σ g w and slopeDot = Σ g w x̂; a `weight` of 0 stands for ones. */
export function slopes(x: usize, g: usize, weight: usize, n: i32, mean: f32, scale: f32): void {
  if (weight == 0) findSlopes(x, g, 0, n, mean, scale, false);
  else findSlopes(x, g, weight, n, mean, scale, true);
}

@inline
function findSlopes(x: usize, g: usize, weight: usize, n: i32, mean: f32, scale: f32, weighted: bool): void {
  const m = f32x4.splat(mean), s = f32x4.splat(scale);
  const whole = <usize>(n & ~7) << 2, all = <usize>n << 2;
  let a = f64x2.splat(0), b = a, c = a, d = a, da = a, db = a, dc = a, dd = a;
  let i: usize = 0;
  for (; i < whole; i += 32) {
    const left = weigh(g + i, weight + i, true, weighted), right = weigh(g + i + 16, weight + i + 16, true, weighted);
    const leftDot = f32x4.mul(left, normal(v128.load(x + i), m, s)), rightDot = f32x4.mul(right, normal(v128.load(x + i, 16), m, s));
    a = f64x2.add(a, lower(left));
    b = f64x2.add(b, upper(left));
    c = f64x2.add(c, lower(right));
    d = f64x2.add(d, upper(right));
    da = f64x2.add(da, lower(leftDot));
    db = f64x2.add(db, upper(leftDot));
    dc = f64x2.add(dc, lower(rightDot));
    dd = f64x2.add(dd, upper(rightDot));
  }
  let sum = (across(a) + across(b)) + (across(c) + across(d));
  let dot = (across(da) + across(db)) + (across(dc) + across(dd));
  for (; i < all; i += 4) {
    const slope = weigh(g + i, weight + i, false, weighted);
    sum += <f64>f32x4.extract_lane(slope, 0);
    dot += <f64>f32x4.extract_lane(f32x4.mul(slope, normal(v128.load32_zero(x + i), m, s)), 0);
  }
  slopeSum = sum;
  slopeDot = dot;
}

@inline
function weigh(g: usize, weight: usize, full: bool, weighted: bool): v128 {
  return weighted ? f32x4.mul(load(g, full), load(weight, full)) : load(g, full);
}

/** x̂ */
@inline
export function normal(x: v128, mean: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.sub(x, mean), scale);
}

/** y = x̂ w + b for a run of elements that have one mean, scale, weight and bias. */
export function normalizeRun(x: usize, y: usize, n: i32, mean: f32, scale: f32, weight: f32, bias: f32): void {
  const m = f32x4.splat(mean), s = f32x4.splat(scale), w = f32x4.splat(weight), b = f32x4.splat(bias);
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(y + i, fma(normal(load(x + i, true), m, s), w, b), true);
  for (; i < all; i += 4) store(y + i, fma(normal(load(x + i, false), m, s), w, b), false);
}

/**
 * An element's gradient, (g w − sum − x̂ dot) scale, where `sum` and `dot` are the means of g w and
 * g w x̂ over all that share its mean and variance.
 */
@inline
export function slope(x: v128, g: v128, weight: v128, mean: v128, scale: v128, sum: v128, dot: v128): v128 {
  const normed = normal(x, mean, scale);
  return f32x4.mul(f32x4.sub(f32x4.sub(f32x4.mul(g, weight), sum), f32x4.mul(normed, dot)), scale);
}

/** The gradients of a run of elements that have one mean, scale and weight. */
export function slopeRun(
  x: usize, g: usize, d: usize, n: i32, weight: f32, mean: f32, scale: f32, sum: f32, dot: f32,
): void {
  const w = f32x4.splat(weight), m = f32x4.splat(mean), s = f32x4.splat(scale), a = f32x4.splat(sum), b = f32x4.splat(dot);
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(d + i, slope(load(x + i, true), load(g + i, true), w, m, s, a, b), true);
  for (; i < all; i += 4) store(d + i, slope(load(x + i, false), load(g + i, false), w, m, s, a, b), false);
}

/**
 * y = x̂ w + b for a run of elements that have one mean and scale, but each its own weight and
 * bias.
 */
export function normalizeRow(x: usize, y: usize, n: i32, mean: f32, scale: f32, weight: usize, bias: usize): void {
  const m = f32x4.splat(mean), s = f32x4.splat(scale);
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(y + i, affine(normal(load(x + i, true), m, s), i, weight, bias, true), true);
  for (; i < all; i += 4) store(y + i, affine(normal(load(x + i, false), m, s), i, weight, bias, false), false);
}

/** x̂ w + b, without what has the address 0. */
@inline
export function affine(normed: v128, i: usize, weight: usize, bias: usize, full: bool): v128 {
  if (weight == 0) return normed;
  return bias == 0 ? f32x4.mul(normed, load(weight + i, full)) : fma(normed, load(weight + i, full), load(bias + i, full));
}

/** The gradients of a run of elements that have one mean and scale, but each its own weight. */
export function slopeRow(x: usize, g: usize, d: usize, n: i32, weight: usize, mean: f32, scale: f32, sum: f32, dot: f32): void {
  if (weight == 0) return slopeRun(x, g, d, n, 1, mean, scale, sum, dot);
  const m = f32x4.splat(mean), s = f32x4.splat(scale), a = f32x4.splat(sum), b = f32x4.splat(dot);
  const whole = <usize>(n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(d + i, slope(load(x + i, true), load(g + i, true), load(weight + i, true), m, s, a, b), true);
  for (; i < all; i += 4) store(d + i, slope(load(x + i, false), load(g + i, false), load(weight + i, false), m, s, a, b), false);
}
