import { forward as normalize } from "../layer_norm/reference.ts";

/**
 * Samples of `channels` channels: each channel brought to mean 0 and variance 1 over all of them.
 */
export function forward(samples: readonly (readonly number[])[], channels: number, eps: number): number[][] {
  const spatial = samples[0].length / channels;
  const result = samples.map((sample) => [...sample]);
  for (let c = 0; c < channels; c++) {
    const values = samples.flatMap((sample) => sample.slice(c * spatial, (c + 1) * spatial));
    normalize(values, eps, true).forEach((value, i) => {
      result[Math.floor(i / spatial)][c * spatial + (i % spatial)] = value;
    });
  }
  return result;
}
