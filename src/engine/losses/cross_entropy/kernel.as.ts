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
import { lower, narrow, upper } from "../../kernels/wide.as";

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

// The same for a pack (pack.kernel.as.ts), whose models have their targets and scales each: a
// vector holds the same class of four models. The sums over classes keep their order.

/** Bytes of one number of all 16 models. */
const PACK: usize = 64;

/** What the last `totalOf` added up, of four models: two doubles each. */
let totalLow: v128 = f64x2.splat(0);
let totalHigh: v128 = f64x2.splat(0);

/**
 * `cross_entropy` of class indices. `weight` holds a float per class, and `scales` one number, of
 * each model.
 */
export function pack_cross_entropy(
  x: usize, target: usize, weight: usize, terms: usize, gradient: usize, rows: i32, classes: i32, smoothing: f32, ignored: i32,
  scales: usize,
): void {
  const bytes = <usize>classes << 6;
  for (let i: usize = 0; i < PACK; i += 16) {
    const scale = v128.load(scales + i);
    for (let row: usize = 0; row < <usize>rows; row++) {
      const at = i + row * bytes, one = i + (row << 6), to: usize = gradient == 0 ? 0 : gradient + at;
      lossOfFour(x + at, v128.load(target + one), weight + i, terms + one, to, classes, smoothing, ignored, scale);
    }
  }
}

@inline
function lossOfFour(
  x: usize, index: v128, weight: usize, term: usize, gradient: usize, classes: i32, smoothing: f32, ignored: i32, scale: v128,
): void {
  const kept = f32x4.splat(1 - smoothing), spread = f32x4.splat(smoothing / <f32>classes);
  const counts = v128.andnot(i32x4.lt_u(index, i32x4.splat(classes)), i32x4.eq(index, i32x4.splat(ignored)));
  const greatest = maximumOfFour(x, classes);
  let right = f32x4.splat(0), own = right;
  for (let j = 0; j < classes; j++) {
    const offset = <usize>j << 6, is = i32x4.eq(index, i32x4.splat(j));
    right = v128.bitselect(v128.load(x + offset), right, is);
    own = v128.bitselect(v128.load(weight + offset), own, is);
  }
  totalOf<ExponentialOfFour>(x, weight, gradient, classes, greatest, spread);
  const sumLow = totalLow, sumHigh = totalHigh;
  let massLow = f64x2.splat(0), massHigh = massLow, dotLow = massLow, dotHigh = massLow;
  if (smoothing != 0) {
    totalOf<MassOfFour>(x, weight, gradient, classes, greatest, spread);
    massLow = totalLow;
    massHigh = totalHigh;
    totalOf<DotOfFour>(x, weight, gradient, classes, greatest, spread);
    dotLow = totalLow;
    dotHigh = totalHigh;
  }
  const share = f32x4.mul(kept, own), distance = f32x4.sub(right, greatest);
  massLow = f64x2.add(massLow, lower(share));
  massHigh = f64x2.add(massHigh, upper(share));
  dotLow = f64x2.add(dotLow, f64x2.mul(lower(share), lower(distance)));
  dotHigh = f64x2.add(dotHigh, f64x2.mul(upper(share), upper(distance)));
  if (gradient != 0) {
    const factor = narrow(
      f64x2.div(f64x2.mul(massLow, lower(scale)), sumLow), f64x2.div(f64x2.mul(massHigh, upper(scale)), sumHigh),
    );
    const pull = f32x4.mul(f32x4.mul(scale, kept), own);
    for (let j = 0; j < classes; j++) {
      const offset = <usize>j << 6;
      const slope = f32x4.sub(
        f32x4.mul(v128.load(gradient + offset), factor), f32x4.mul(scale, f32x4.mul(v128.load(weight + offset), spread)),
      );
      const all = v128.bitselect(f32x4.sub(slope, pull), slope, i32x4.eq(index, i32x4.splat(j)));
      v128.store(gradient + offset, v128.and(all, counts));
    }
  }
  const logSum = log(narrow(sumLow, sumHigh));
  const loss = narrow(
    f64x2.sub(f64x2.mul(massLow, lower(logSum)), dotLow), f64x2.sub(f64x2.mul(massHigh, upper(logSum)), dotHigh),
  );
  v128.store(term, v128.and(loss, counts));
}

/** As `maximum` compares: lane j mod 4 of a model's vector is one of four here. */
@inline
function maximumOfFour(x: usize, classes: i32): v128 {
  let a = f32x4.splat(-Infinity), b = a, c = a, d = a;
  const whole = x + (<usize>(classes & ~3) << 6), end = x + (<usize>classes << 6);
  for (; x < whole; x += 256) {
    a = f32x4.pmax(a, v128.load(x));
    b = f32x4.pmax(b, v128.load(x, 64));
    c = f32x4.pmax(c, v128.load(x, 128));
    d = f32x4.pmax(d, v128.load(x, 192));
  }
  for (; x < end; x += 64) {
    const one = v128.load(x);
    a = f32x4.pmax(a, one);
    b = f32x4.pmax(b, one);
    c = f32x4.pmax(c, one);
    d = f32x4.pmax(d, one);
  }
  return f32x4.pmax(f32x4.pmax(a, c), f32x4.pmax(b, d));
}

class ExponentialOfFour {
  @inline at(j: usize, x: usize, weight: usize, gradient: usize, greatest: v128, spread: v128): v128 {
    const e = exp(f32x4.sub(v128.load(x + j), greatest));
    if (gradient != 0) v128.store(gradient + j, e);
    return e;
  }
}

class MassOfFour {
  @inline at(j: usize, x: usize, weight: usize, gradient: usize, greatest: v128, spread: v128): v128 {
    return f32x4.mul(v128.load(weight + j), spread);
  }
}

class DotOfFour {
  @inline at(j: usize, x: usize, weight: usize, gradient: usize, greatest: v128, spread: v128): v128 {
    return f32x4.mul(f32x4.mul(v128.load(weight + j), spread), f32x4.sub(v128.load(x + j), greatest));
  }
}

/** As `total` adds. */
@inline
function totalOf<F>(x: usize, weight: usize, gradient: usize, classes: i32, greatest: v128, spread: v128): void {
  const f = changetype<F>(0), whole = <usize>(classes & ~3) << 6, all = <usize>classes << 6;
  let low = f64x2.splat(0), high = low, j: usize = 0;
  while (j < whole) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (const end = min(j + 256 * PACK, whole); j < end; j += 256) {
      a = f32x4.add(a, f.at(j, x, weight, gradient, greatest, spread));
      b = f32x4.add(b, f.at(j + 64, x, weight, gradient, greatest, spread));
      c = f32x4.add(c, f.at(j + 128, x, weight, gradient, greatest, spread));
      d = f32x4.add(d, f.at(j + 192, x, weight, gradient, greatest, spread));
    }
    const sum = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    low = f64x2.add(low, lower(sum));
    high = f64x2.add(high, upper(sum));
  }
  for (; j < all; j += 64) {
    const one = f.at(j, x, weight, gradient, greatest, spread);
    low = f64x2.add(low, lower(one));
    high = f64x2.add(high, upper(one));
  }
  totalLow = low;
  totalHigh = high;
}
