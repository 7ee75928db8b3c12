import { log } from "../../kernels/math.as";
import { fma, load, store } from "../../kernels/vector.as";

/**
 * Takes rows of `outputs` probabilities x and targets y. `weight` holds a weight for each output.
 */
export function bce(
  x: usize, y: usize, weight: usize, terms: usize, gradient: usize, rows: i32, outputs: i32, scale: f32,
): void {
  const s = f32x4.splat(scale);
  const whole = (<usize>outputs & ~3) << 2, all = <usize>outputs << 2;
  for (let row = 0; row < rows; row++) {
    let i: usize = 0;
    for (; i < whole; i += 16) element(x + i, y + i, weight + i, terms + i, gradient == 0 ? 0 : gradient + i, s, true);
    for (; i < all; i += 4) element(x + i, y + i, weight + i, terms + i, gradient == 0 ? 0 : gradient + i, s, false);
    x += all;
    y += all;
    terms += all;
    if (gradient != 0) gradient += all;
  }
}

/** The derivative is (x − y) / (x (1 − x)). */
@inline
function element(prediction: usize, target: usize, weight: usize, term: usize, gradient: usize, scale: v128, full: bool): void {
  const x = load(prediction, full), y = load(target, full), w = load(weight, full);
  const rest = f32x4.sub(f32x4.splat(1), x), no = f32x4.sub(f32x4.splat(1), y);
  const sum = fma(no, bounded(logOfRest(x, rest)), f32x4.mul(y, bounded(log(x))));
  store(term, f32x4.neg(f32x4.mul(w, sum)), full);
  if (gradient == 0) return;
  const slope = f32x4.div(f32x4.sub(x, y), f32x4.pmax(f32x4.mul(rest, x), f32x4.splat(1e-12)));
  store(gradient, f32x4.mul(scale, f32x4.mul(w, slope)), full);
}

@inline
function bounded(logarithm: v128): v128 {
  return f32x4.pmax(logarithm, f32x4.splat(-100));
}

/** ln(1 − x), with what rounding 1 − x lost: (1 − rest − x) / rest. */
@inline
function logOfRest(x: v128, rest: v128): v128 {
  const lost = f32x4.div(f32x4.sub(f32x4.sub(f32x4.splat(1), rest), x), rest);
  return f32x4.add(log(rest), v128.and(lost, f32x4.gt(rest, f32x4.splat(0))));
}
