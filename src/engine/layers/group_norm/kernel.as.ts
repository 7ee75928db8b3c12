// Groups of channels of a sample, each normalized by its mean and variance. A group's channels lie
// one after another, `spatial` elements each. `saved` holds each group's mean and scale.
import { deviations, dotOf, normalizeRow, normalizeRun, slopeDot, slopeRow, slopeRun, slopes, slopeSum, sumOf } from "../../kernels/normalize.as";

/** `groups`: of all samples at hand; `perSample`: of one. */
export function group_norm_forward(
  x: usize, y: usize, weight: usize, bias: usize, saved: usize, groups: i32, perSample: i32, channels: i32, spatial: i32, eps: f64,
): void {
  const n = channels * spatial;
  for (let group = 0; group < groups; group++) {
    const mean = <f32>(sumOf(x, n) / <f64>n);
    const scale = <f32>(1 / sqrt<f64>(deviations(x, n, mean) / <f64>n + eps));
    store<f32>(saved, mean);
    store<f32>(saved, scale, 4);
    saved += 8;
    const first = <usize>((group % perSample) * channels) << 2;
    if (weight == 0 || spatial == 1) {
      normalizeRow(x, y, n, mean, scale, weight == 0 ? 0 : weight + first, weight == 0 ? 0 : bias + first);
    } else {
      for (let c = 0; c < channels; c++) {
        const at = <usize>(c * spatial) << 2, which = first + (<usize>c << 2);
        normalizeRun(x + at, y + at, spatial, mean, scale, load<f32>(weight + which), load<f32>(bias + which));
      }
    }
    x += n << 2;
    y += n << 2;
  }
}

export function group_norm_backward(
  x: usize, g: usize, d: usize, weight: usize, saved: usize, groups: i32, perSample: i32, channels: i32, spatial: i32,
): void {
  const n = channels * spatial, bytes = n << 2;
  for (let group = 0; group < groups; group++) {
    const mean = load<f32>(saved), scale = load<f32>(saved, 4);
    const first: usize = weight == 0 ? 0 : weight + (<usize>((group % perSample) * channels) << 2);
    if (weight == 0 || spatial == 1) {
      slopes(x, g, first, n, mean, scale);
      slopeRow(x, g, d, n, first, mean, scale, <f32>(slopeSum / <f64>n), <f32>(slopeDot / <f64>n));
    } else {
      let sum: f64 = 0, dot: f64 = 0;
      for (let c = 0; c < channels; c++) {
        const at = <usize>(c * spatial) << 2, w = <f64>load<f32>(first + (<usize>c << 2));
        slopes(x + at, g + at, 0, spatial, mean, scale);
        sum += w * slopeSum;
        dot += w * slopeDot;
      }
      for (let c = 0; c < channels; c++) {
        const at = <usize>(c * spatial) << 2, w = load<f32>(first + (<usize>c << 2));
        slopeRun(x + at, g + at, d + at, spatial, w, mean, scale, <f32>(sum / <f64>n), <f32>(dot / <f64>n));
      }
    }
    saved += 8;
    x += bytes;
    g += bytes;
    d += bytes;
  }
}

/**
 * Channels begin..end of a gradient over `samples` samples: of the weight, Σ g x̂, or of the bias,
 * Σ g. A sample's sums are added in ascending order of the samples.
 */
export function group_norm_gradient(
  out: usize, x: usize, g: usize, saved: usize, samples: i32, perSample: i32, channels: i32, spatial: i32, begin: i32, end: i32,
  ofWeight: bool,
): void {
  const size = <usize>(perSample * channels * spatial) << 2;
  for (let c = begin; c < end; c++) {
    let sum: f64 = 0;
    for (let sample = 0; sample < samples; sample++) {
      const at = <usize>sample * size + (<usize>(c * spatial) << 2);
      const s = saved + (<usize>(sample * perSample + c / channels) << 3);
      sum += ofWeight ? dotOf(x + at, g + at, spatial, load<f32>(s), load<f32>(s, 4)) : sumOf(g + at, spatial);
    }
    store<f32>(out + (<usize>c << 2), <f32>sum);
  }
}
