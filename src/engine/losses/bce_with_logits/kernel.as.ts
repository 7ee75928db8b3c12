import { decay, log1p, sigmoidOf } from "../../kernels/math.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * Takes rows of `outputs` logits x and targets y. `positive` and `weight` hold pos_weight p and
 * weight w of each output. No gradient is written if `gradient` is 0.
 *
 * PyTorch's (1 − y) x + (1 + (p − 1) y) softplus(−x) subtracts large numbers from each other where
 * x < 0 (at y = 0 it is x + softplus(−x)). Split by the sign of x it does not: ((1 − y) x if x ≥ 0,
 * else −p y x) + (1 − y + p y) ln(1 + e^−|x|). The derivative is (1 − y) sigmoid(x) − p y
 * sigmoid(−x).
 */
export function bce_with_logits(
  x: usize, y: usize, positive: usize, weight: usize, terms: usize, gradient: usize, rows: i32, outputs: i32, scale: f32,
): void {
  const s = f32x4.splat(scale);
  const whole = (<usize>outputs & ~3) << 2, all = <usize>outputs << 2;
  for (let row = 0; row < rows; row++) {
    let i: usize = 0;
    for (; i < whole; i += 16) element(x + i, y + i, positive + i, weight + i, terms + i, gradient == 0 ? 0 : gradient + i, s, true);
    for (; i < all; i += 4) element(x + i, y + i, positive + i, weight + i, terms + i, gradient == 0 ? 0 : gradient + i, s, false);
    x += all;
    y += all;
    terms += all;
    if (gradient != 0) gradient += all;
  }
}

@inline
function element(
  prediction: usize, target: usize, positive: usize, weight: usize, term: usize, gradient: usize, scale: v128, full: bool,
): void {
  const x = load(prediction, full), y = load(target, full), w = load(weight, full);
  const no = f32x4.sub(f32x4.splat(1), y), yes = f32x4.mul(load(positive, full), y);
  const e = decay(x);
  const factor = v128.bitselect(no, f32x4.neg(yes), f32x4.ge(x, f32x4.splat(0)));
  store(term, f32x4.mul(w, fma(factor, x, f32x4.mul(f32x4.add(no, yes), log1p(e)))), full);
  if (gradient == 0) return;
  const slope = fnma(yes, sigmoidOf(f32x4.neg(x), e), f32x4.mul(no, sigmoidOf(x, e)));
  store(gradient, f32x4.mul(scale, f32x4.mul(w, slope)), full);
}
