import { lengths, type Options, type ValuesOf } from "../../member/options.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import type { Shape } from "../../member/shape.ts";
import { MAX_SIZE, requireChannels, type Sliding } from "../sliding.ts";
import { Convolution, scratchBytes, type Geometry } from "./convolution.ts";
import {
  channelOptions,
  checkChannels,
  checkStrides,
  MAX_KINDS,
  needs,
  parametersOf,
  windowOptions,
} from "./declaration.ts";

const options = {
  ...windowOptions(2),
  stride: {
    kind: "sizes",
    length: 2,
    default: 1,
    min: 1,
    max: MAX_SIZE,
    tries: [2],
    doc: `Distance in the output between what neighbouring elements of the input make; height × width is at most ${MAX_KINDS}.`,
  },
  padding: {
    kind: "sizes",
    length: 2,
    default: 0,
    min: 0,
    max: MAX_SIZE,
    tries: [1],
    doc: "How many elements of the output are cut off on each side.",
  },
  output_padding: {
    kind: "sizes",
    length: 2,
    default: 0,
    min: 0,
    max: MAX_SIZE,
    tries: [[0, 0]],
    doc: "Elements added at the output's end; fewer than the stride or the dilation.",
  },
  ...channelOptions,
} as const satisfies Options;

/**
 * The transposed convolution: what `conv2d` does to gradients of its input. Semantics and initial
 * values of `torch.nn.ConvTranspose2d`. The weight is [in_channels, out_channels / groups, kernel
 * height, kernel width].
 */
export const conv_transpose2d = defineLayer({
  type: "conv_transpose2d",
  summary:
    "Learned kernels that enlarge an image [channels, height, width]: each element of the input adds one to the output.",
  formula: "y[o, i·stride + p·dilation − padding, …] = Σ w[c,o,p,q] · x[c,i,j] + b[o] over all that fall there",
  source: "torch.nn.ConvTranspose2d",
  example: { input: [2, 4, 3], options: { out_channels: 5, kernel_size: [3, 3], stride: [2, 2] } },
  options,
  needs,
  shape(options, [{ shape }]) {
    const geometry = geometryOf(options, shape);
    const { inputs: outputs, outputs: inputs, groups, rows, columns } = geometry;
    const weightShape = [inputs, outputs / groups, rows.kernel, columns.kernel];
    return {
      output: [outputs, rows.size, columns.size],
      parameters: parametersOf(options, weightShape, outputs, rows.count * columns.count),
      scratch: scratchBytes(geometry),
      inferred: { in_channels: inputs },
    };
  },
  create(kernels, options, place) {
    const {
      inputs: [x],
      output: y,
    } = place;
    const geometry = geometryOf(options, x.shape);
    const { rows, columns, inputs: outputs } = geometry;
    const convolution = new Convolution(kernels, geometry, place.scratch);
    return {
      forward: ([weight, bias = 0], begin, end) =>
        convolution.transpose(y.address, x.address, weight, bias, begin, end),
      backward: ([weight], begin, end) => convolution.apply(x.gradient, y.gradient, weight, 0, begin, end),
      gradient(parameter, begin, end, samples) {
        const out = place.gradients[parameter];
        if (parameter === 0) convolution.correlate(out, x.address, y.gradient, begin, end, samples);
        else kernels.conv_channel_sums(out, y.gradient, outputs, rows.size * columns.size, begin, end, samples);
      },
    };
  },
});

/** The convolution that leads from the layer's output to its input. */
function geometryOf(values: ValuesOf<typeof options>, shape: Shape): Geometry {
  requireChannels(shape, 2);
  const [inputs, ...sizes] = shape;
  checkChannels(values, shape, values.out_channels);
  const [rows, columns] = sizes.map((count, d) => slidingOf(values, count, d));
  checkStrides(rows, columns);
  return { inputs: values.out_channels, outputs: inputs, groups: values.groups, rows, columns };
}

function slidingOf(values: ValuesOf<typeof options>, count: number, d: number): Sliding {
  const of = (value: number | readonly number[]) => lengths(value, 2)[d];
  const [kernel, stride, padding] = [of(values.kernel_size), of(values.stride), of(values.padding)];
  const [dilation, more] = [of(values.dilation), of(values.output_padding)];
  if (more >= Math.max(stride, dilation))
    throw new LayerFault("output_padding", `is ${more}, but must be less than the stride or the dilation`);
  const size = (count - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1;
  if (size < 1) throw new LayerFault("padding", `is ${padding}, which leaves nothing of the output; make it smaller`);
  return { size, kernel, stride, padding, dilation, count };
}
