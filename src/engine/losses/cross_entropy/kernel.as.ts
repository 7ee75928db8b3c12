// Cross entropy of a softmax, row by row.
//
// With z = x − max x, sum = Σ e^z and target probabilities q weighted by class weights w, a row's
// loss is
//   −Σ w q ln p = mass × ln sum − Σ w q z,   where mass = Σ w q   and   p = e^z / sum,
// and its derivative is   p mass − w q.
// Label smoothing s computes q from the targets' probabilities t:  q = (1 − s) t + s / classes. A
// class index means t = 1 for that class and 0 for the others. Its part of the sums is added
// separately, so that without smoothing Σ e^z is the only sum over classes.
import { exp, log } from "../../kernels/math.as";
import { fma, load as loadFloats, store as storeFloats } from "../../kernels/vector.as";

/**
 * `target` holds a class index (int32) per row or, with `probabilities`, a float per row and class.
 * `weight` holds a float per class. Rows whose target is `ignored`, or not a class, have loss and
 * gradient 0. No gradient is written if `gradient` is 0.
 */
export function cross_entropy(
  x: usize, target: usize, probabilities: bool, weight: usize, terms: usize, gradient: usize, rows: i32, classes: i32,
  smoothing: f32, ignored: i32, scale: f32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = 0; row < rows; row++) {
    const index = probabilities ? -1 : load<i32>(target);
    if (probabilities || (index != ignored && <u32>index < <u32>classes)) {
      store<f32>(terms, rowLoss(x, index, probabilities ? target : 0, weight, gradient, bytes, smoothing, scale));
    } else {
      store<f32>(terms, 0);
      if (gradient != 0) memory.fill(gradient, 0, bytes);
    }
    x += bytes;
    target += probabilities ? bytes : 4;
    terms += 4;
    if (gradient != 0) gradient += bytes;
  }
}

/**
 * The loss of one row. Either `index` is −1 and `target` gives probabilities, or `target` is 0.
 */
function rowLoss(
  x: usize, index: i32, target: usize, weight: usize, gradient: usize, bytes: usize, smoothing: f32, scale: f32,
): f32 {
  const kept: f32 = 1 - smoothing, spread = smoothing / <f32>(bytes >> 2);
  const greatest = f32x4.splat(maximum(x, bytes)), k = f32x4.splat(kept), s = f32x4.splat(spread);
  const sum = total<Exponential>(x, target, weight, gradient, bytes, greatest, k, s);
  let mass: f64 = 0, dot: f64 = 0;
  if (target != 0 || smoothing != 0) {
    mass = total<Mass>(x, target, weight, gradient, bytes, greatest, k, s);
    dot = total<Dot>(x, target, weight, gradient, bytes, greatest, k, s);
  }
  const at = <usize>index << 2;
  if (index >= 0) {
    const share = <f64>(kept * load<f32>(weight + at));
    mass += share;
    dot += share * <f64>(load<f32>(x + at) - f32x4.extract_lane(greatest, 0));
  }
  if (gradient != 0) {
    derive(target, weight, gradient, bytes, <f32>(mass * <f64>scale / sum), scale, k, s);
    if (index >= 0) store<f32>(gradient + at, load<f32>(gradient + at) - scale * kept * load<f32>(weight + at));
  }
  return <f32>(mass * <f64>f32x4.extract_lane(log(f32x4.splat(<f32>sum)), 0) - dot);
}

function maximum(x: usize, bytes: usize): f32 {
  let most = f32x4.splat(-Infinity), i: usize = 0;
  for (const whole = bytes & ~15; i < whole; i += 16) most = f32x4.pmax(most, loadFloats(x + i, true));
  for (; i < bytes; i += 4) most = f32x4.pmax(most, v128.load32_splat(x + i));
  most = f32x4.pmax(most, i32x4.shuffle(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, i32x4.shuffle(most, most, 1, 0, 3, 2));
  return f32x4.extract_lane(most, 0);
}

/**
 * Replaces e^z, which `gradient` holds, by the gradient:  e^z × (mass scale / sum) − scale w q.
 */
function derive(target: usize, weight: usize, gradient: usize, bytes: usize, factor: f32, scale: f32, kept: v128, spread: v128): void {
  const f = f32x4.splat(factor), s = f32x4.splat(scale);
  let i: usize = 0;
  for (const whole = bytes & ~15; i < whole; i += 16) derivative(i, target, weight, gradient, f, s, kept, spread, true);
  for (; i < bytes; i += 4) derivative(i, target, weight, gradient, f, s, kept, spread, false);
}

@inline
function derivative(
  i: usize, target: usize, weight: usize, gradient: usize, factor: v128, scale: v128, kept: v128, spread: v128, full: bool,
): void {
  const share = f32x4.mul(scale, weighted(i, target, weight, kept, spread, full));
  storeFloats(gradient + i, f32x4.sub(f32x4.mul(loadFloats(gradient + i, full), factor), share), full);
}

/** w q, without the part that a class index adds. */
@inline
function weighted(i: usize, target: usize, weight: usize, kept: v128, spread: v128, full: bool): v128 {
  const q = target == 0 ? spread : fma(kept, loadFloats(target + i, full), spread);
  return f32x4.mul(loadFloats(weight + i, full), q);
}

// The terms that `total` can add up. Each is a class with a method for the element at byte i, and
// for the three after it if `full` (see elementwise.as.ts).

/** e^z, which it also writes to `gradient`. */
class Exponential {
  @inline at(i: usize, x: usize, target: usize, weight: usize, gradient: usize, greatest: v128, kept: v128, spread: v128, full: bool): v128 {
    const e = exp(f32x4.sub(loadFloats(x + i, full), greatest));
    if (gradient != 0) storeFloats(gradient + i, e, full);
    return e;
  }
}

/** w q */
class Mass {
  @inline at(i: usize, x: usize, target: usize, weight: usize, gradient: usize, greatest: v128, kept: v128, spread: v128, full: bool): v128 {
    return weighted(i, target, weight, kept, spread, full);
  }
}

/** w q z */
class Dot {
  @inline at(i: usize, x: usize, target: usize, weight: usize, gradient: usize, greatest: v128, kept: v128, spread: v128, full: bool): v128 {
    return f32x4.mul(weighted(i, target, weight, kept, spread, full), f32x4.sub(loadFloats(x + i, full), greatest));
  }
}

const BLOCK: usize = 256 * 4;

/**
 * A sum over classes, in an order that depends on their number alone. In a block of 256 classes,
 * class j is added to lane j mod 4, and the lanes are then added as (0 + 1) + (2 + 3). The blocks
 * are added one by one in double, and after them the up to three classes that do not fill four
 * lanes.
 */
function total<F>(
  x: usize, target: usize, weight: usize, gradient: usize, bytes: usize, greatest: v128, kept: v128, spread: v128,
): f64 {
  const f = changetype<F>(0), whole = bytes & ~15;
  let sum: f64 = 0, i: usize = 0;
  while (i < whole) {
    let lanes = f32x4.splat(0);
    for (const end = min(i + BLOCK, whole); i < end; i += 16) {
      lanes = f32x4.add(lanes, f.at(i, x, target, weight, gradient, greatest, kept, spread, true));
    }
    lanes = f32x4.add(lanes, i32x4.shuffle(lanes, lanes, 1, 0, 3, 2));
    sum += <f64>f32x4.extract_lane(f32x4.add(lanes, i32x4.shuffle(lanes, lanes, 2, 3, 0, 1)), 0);
  }
  for (; i < bytes; i += 4) sum += <f64>f32x4.extract_lane(f.at(i, x, target, weight, gradient, greatest, kept, spread, false), 0);
  return sum;
}
