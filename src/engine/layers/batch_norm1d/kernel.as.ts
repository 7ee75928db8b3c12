// Channels normalized by their mean and variance over a whole batch. A channel of a sample is
// `spatial` elements that lie together; with `spatial` = 1, channels lie side by side, and four of
// them go through a vector. Sums over a batch are those of its samples, added in ascending order,
// in double.
//
// Means and scales are arrays with a float for each channel.
import { deviations, normal, normalizeRun, slope, slopeDot, slopeRun, slopes, slopeSum, sumOf } from "../../kernels/normalize.as";
import { fma, load as loadFloats, store as storeFloats } from "../../kernels/vector.as";
import { lower, upper } from "../../kernels/wide.as";

/**
 * Means and scales of channels begin..end over a batch. The running statistics move to the batch's
 * by `momentum`; the variance that goes into them is the unbiased one.
 */
export function batch_norm_statistics(
  x: usize, means: usize, scales: usize, runningMeans: usize, runningVariances: usize, begin: i32, end: i32, samples: i32,
  channels: i32, spatial: i32, eps: f64, momentum: f64,
): void {
  const size = <usize>(channels * spatial) << 2, n = <f64>samples * <f64>spatial;
  for (let c = begin; c < end; ) {
    const count = spatial == 1 && c + 4 <= end ? 4 : 1;
    const at = x + (<usize>(c * spatial) << 2), channel = <usize>c << 2;
    if (count == 4) {
      sumFour(at, size, samples, f32x4.splat(0), false);
      store<f32>(means + channel, <f32>(four0 / n));
      store<f32>(means + channel, <f32>(four1 / n), 4);
      store<f32>(means + channel, <f32>(four2 / n), 8);
      store<f32>(means + channel, <f32>(four3 / n), 12);
      sumFour(at, size, samples, v128.load(means + channel), true);
    } else {
      let sum: f64 = 0;
      for (let i = 0; i < samples; i++) sum += sumOf(at + <usize>i * size, spatial);
      const mean = <f32>(sum / n);
      store<f32>(means + channel, mean);
      four0 = 0;
      for (let i = 0; i < samples; i++) four0 += deviations(at + <usize>i * size, spatial, mean);
    }
    finish(four0, channel, n, eps, momentum, means, scales, runningMeans, runningVariances);
    if (count == 4) {
      finish(four1, channel + 4, n, eps, momentum, means, scales, runningMeans, runningVariances);
      finish(four2, channel + 8, n, eps, momentum, means, scales, runningMeans, runningVariances);
      finish(four3, channel + 12, n, eps, momentum, means, scales, runningMeans, runningVariances);
    }
    c += count;
  }
}

/** From a channel's sum of squared deviations to its scale and running statistics. */
function finish(
  squares: f64, channel: usize, n: f64, eps: f64, momentum: f64, means: usize, scales: usize, runningMeans: usize, runningVariances: usize,
): void {
  store<f32>(scales + channel, <f32>(1 / sqrt<f64>(squares / n + eps)));
  move(runningMeans + channel, <f64>load<f32>(means + channel), momentum);
  move(runningVariances + channel, squares / (n - 1), momentum);
}

@inline
function move(average: usize, value: f64, momentum: f64): void {
  store<f32>(average, <f32>((1 - momentum) * <f64>load<f32>(average) + momentum * value));
}

let four0: f64 = 0, four1: f64 = 0, four2: f64 = 0, four3: f64 = 0;

/** four0..3 = the sums of four channels' values or, if `square`, squared deviations. */
function sumFour(x: usize, size: usize, samples: i32, mean: v128, square: bool): void {
  let low = f64x2.splat(0), high = low;
  for (let i = 0; i < samples; i++, x += size) {
    let value = v128.load(x);
    if (square) {
      const d = f32x4.sub(value, mean);
      value = f32x4.mul(d, d);
    }
    low = f64x2.add(low, lower(value));
    high = f64x2.add(high, upper(value));
  }
  four0 = f64x2.extract_lane(low, 0);
  four1 = f64x2.extract_lane(low, 1);
  four2 = f64x2.extract_lane(high, 0);
  four3 = f64x2.extract_lane(high, 1);
}

/** scale = 1 / √(variance + eps) for `channels` channels. */
export function batch_norm_scales(variances: usize, scales: usize, channels: i32, eps: f64): void {
  for (let c: usize = 0, end = <usize>channels << 2; c < end; c += 4) {
    store<f32>(scales + c, <f32>(1 / sqrt<f64>(<f64>load<f32>(variances + c) + eps)));
  }
}

/** `weight` and `bias` of 0 stand for ones and zeros. */
export function batch_norm_forward(
  x: usize, y: usize, weight: usize, bias: usize, means: usize, scales: usize, samples: i32, channels: i32, spatial: i32,
): void {
  for (let i = 0; i < samples; i++) {
    if (spatial == 1) {
      let c = 0;
      for (; c + 4 <= channels; c += 4) normalizeFour(x, y, weight, bias, means, scales, c, true);
      for (; c < channels; c++) normalizeFour(x, y, weight, bias, means, scales, c, false);
      x += channels << 2;
      y += channels << 2;
      continue;
    }
    for (let c = 0; c < channels; c++) {
      const at = <usize>c << 2;
      const w: f32 = weight == 0 ? 1 : load<f32>(weight + at), b: f32 = weight == 0 ? 0 : load<f32>(bias + at);
      normalizeRun(x, y, spatial, load<f32>(means + at), load<f32>(scales + at), w, b);
      x += spatial << 2;
      y += spatial << 2;
    }
  }
}

@inline
function normalizeFour(x: usize, y: usize, weight: usize, bias: usize, means: usize, scales: usize, c: i32, full: bool): void {
  const at = <usize>c << 2;
  const normed = normal(loadFloats(x + at, full), loadFloats(means + at, full), loadFloats(scales + at, full));
  storeFloats(y + at, weight == 0 ? normed : fma(normed, loadFloats(weight + at, full), loadFloats(bias + at, full)), full);
}

/** Channels begin..end of Σ g and Σ g x̂ over a batch; an address of 0: not wanted. */
export function batch_norm_slopes(
  x: usize, g: usize, means: usize, scales: usize, sums: usize, dots: usize, begin: i32, end: i32, samples: i32, channels: i32, spatial: i32,
): void {
  const size = <usize>(channels * spatial) << 2;
  for (let c = begin; c < end; ) {
    const at = <usize>(c * spatial) << 2, channel = <usize>c << 2;
    if (spatial == 1 && c + 4 <= end) {
      slopesFour(x + at, g + at, size, samples, v128.load(means + channel), v128.load(scales + channel), sums == 0 ? 0 : sums + channel, dots == 0 ? 0 : dots + channel);
      c += 4;
      continue;
    }
    let sum: f64 = 0, dot: f64 = 0;
    for (let i = 0; i < samples; i++) {
      const place = at + <usize>i * size;
      slopes(x + place, g + place, 0, spatial, load<f32>(means + channel), load<f32>(scales + channel));
      sum += slopeSum;
      dot += slopeDot;
    }
    if (sums != 0) store<f32>(sums + channel, <f32>sum);
    if (dots != 0) store<f32>(dots + channel, <f32>dot);
    c++;
  }
}

function slopesFour(x: usize, g: usize, size: usize, samples: i32, mean: v128, scale: v128, sums: usize, dots: usize): void {
  let low = f64x2.splat(0), high = low, lowDot = low, highDot = low;
  for (let i = 0; i < samples; i++, x += size, g += size) {
    const slope = v128.load(g), dot = f32x4.mul(slope, normal(v128.load(x), mean, scale));
    low = f64x2.add(low, lower(slope));
    high = f64x2.add(high, upper(slope));
    lowDot = f64x2.add(lowDot, lower(dot));
    highDot = f64x2.add(highDot, upper(dot));
  }
  if (sums != 0) v128.store(sums, narrow(low, high));
  if (dots != 0) v128.store(dots, narrow(lowDot, highDot));
}

/** Two pairs of doubles as four floats. */
@inline
function narrow(low: v128, high: v128): v128 {
  return i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

/**
 * The input gradient of samples. `sums` and `dots` are Σ g and Σ g x̂ over the batch, of which each
 * element answers for `share`; share 0 if the statistics are constants.
 */
export function batch_norm_backward(
  x: usize, g: usize, d: usize, weight: usize, means: usize, scales: usize, sums: usize, dots: usize, share: f32,
  samples: i32, channels: i32, spatial: i32,
): void {
  for (let i = 0; i < samples; i++) {
    if (spatial == 1) {
      let c = 0;
      for (; c + 4 <= channels; c += 4) slopeFour(x, g, d, weight, means, scales, sums, dots, share, c, true);
      for (; c < channels; c++) slopeFour(x, g, d, weight, means, scales, sums, dots, share, c, false);
      x += channels << 2;
      g += channels << 2;
      d += channels << 2;
      continue;
    }
    for (let c = 0; c < channels; c++) {
      const at = <usize>c << 2, w: f32 = weight == 0 ? 1 : load<f32>(weight + at), part = w * share;
      slopeRun(x, g, d, spatial, w, load<f32>(means + at), load<f32>(scales + at), part * load<f32>(sums + at), part * load<f32>(dots + at));
      x += spatial << 2;
      g += spatial << 2;
      d += spatial << 2;
    }
  }
}

@inline
function slopeFour(
  x: usize, g: usize, d: usize, weight: usize, means: usize, scales: usize, sums: usize, dots: usize, share: f32, c: i32, full: bool,
): void {
  const at = <usize>c << 2;
  const w = weight == 0 ? f32x4.splat(1) : loadFloats(weight + at, full), part = f32x4.mul(w, f32x4.splat(share));
  const sum = f32x4.mul(part, loadFloats(sums + at, full)), dot = f32x4.mul(part, loadFloats(dots + at, full));
  const value = slope(loadFloats(x + at, full), loadFloats(g + at, full), w, loadFloats(means + at, full), loadFloats(scales + at, full), sum, dot);
  storeFloats(d + at, value, full);
}
