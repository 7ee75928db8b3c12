import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { size, type Shape } from "../../member/shape.ts";
import { checkInputSize } from "../input-size.ts";
import type { BufferShape, Layer, LayerPlace, LayerShape } from "../layer.ts";

/*
 * What batch_norm1d and batch_norm2d share. They differ in the shapes that they take.
 *
 * Means and variances are sums over the whole batch, which the threads share out by channels. What
 * belongs to the batch is four arrays of a float for each channel: means, scales, and of the
 * gradient g the sums Σ g and Σ g x̂. The latter two are the gradients of bias and weight.
 */

export const batchNormOptions = {
  num_features: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "Size of a sample's first dimension; inferred, and checked if it is given.",
  },
  eps: { kind: "number", default: 1e-5, above: 0, doc: "Added to the variance, inside the root." },
  momentum: {
    kind: "number",
    default: 0.1,
    min: 0,
    max: 1,
    nullable: true,
    doc: "By how much the running statistics move to those of a batch; null: they are the averages of all batches.",
  },
  affine: { kind: "boolean", default: true, doc: "Whether to learn a scale and a shift of each channel." },
} as const satisfies Options;

type Values = ValuesOf<typeof batchNormOptions>;

export function channelShapes({ num_features, affine }: Values, shape: Shape): LayerShape {
  const [channels] = shape;
  checkInputSize("num_features", num_features, shape, 0);
  const values = size(shape) / channels;
  const parameter = (name: string, value: number) => {
    return { name, shape: [channels], initializer: { distribution: "constant", value } as const, rowCost: 1 };
  };
  const running = (name: string, initial: number): BufferShape => {
    return { name, shape: [channels], type: "float32", initial };
  };
  return {
    output: shape,
    parameters: affine ? [parameter("weight", 1), parameter("bias", 0)] : [],
    buffers: [
      running("running_mean", 0),
      running("running_var", 1),
      { name: "num_batches_tracked", shape: [], type: "int64", initial: 0 },
    ],
    mixes: { sums: channels, values, floats: 4 * channels },
    inferred: { num_features: channels },
  };
}

export function batchNorm(kernels: Kernels, { eps, momentum }: Values, place: LayerPlace): Layer {
  const [{ address: x, gradient: dx, size: sample, shape }] = place.inputs;
  const { address: y, gradient: dy } = place.output;
  const [runningMeans, runningVariances, count] = place.buffers;
  const [channels] = shape;
  const spatial = sample / channels;
  const [means, scales, sums, dots] = [0, 1, 2, 3].map((i) => place.mixed + i * channels * 4);
  const batches = new BigInt64Array(kernels.memory.buffer, count, 1);
  /** The part of a batch's sums that falls to an element. */
  let share = 0;
  return {
    mixForward(begin, end, samples) {
      const move = momentum ?? 1 / (Number(batches[0]) + 1);
      kernels.batch_norm_statistics(
        x,
        means,
        scales,
        runningMeans,
        runningVariances,
        begin,
        end,
        samples,
        channels,
        spatial,
        eps,
        move,
      );
    },
    forward([weight = 0, bias = 0], begin, end, pass) {
      if (!pass.training) {
        // Threads may do this at the same time: they write the same.
        kernels.u8.copyWithin(means, runningMeans, runningMeans + channels * 4);
        kernels.batch_norm_scales(runningVariances, scales, channels, eps);
      } else if (begin === 0) batches[0]++;
      const at = begin * sample * 4;
      kernels.batch_norm_forward(x + at, y + at, weight, bias, means, scales, end - begin, channels, spatial);
    },
    mixBackward(_weights, begin, end, samples) {
      share = 1 / (samples * spatial);
      kernels.batch_norm_slopes(x, dy, means, scales, sums, dots, begin, end, samples, channels, spatial);
    },
    backward([weight = 0], begin, end, pass) {
      const at = begin * sample * 4;
      const part = pass.training ? share : 0;
      kernels.batch_norm_backward(
        x + at,
        dy + at,
        dx + at,
        weight,
        means,
        scales,
        sums,
        dots,
        part,
        end - begin,
        channels,
        spatial,
      );
    },
    gradient(parameter, begin, end) {
      const from = parameter === 0 ? dots : sums;
      kernels.u8.copyWithin(place.gradients[parameter] + begin * 4, from + begin * 4, from + end * 4);
    },
  };
}
