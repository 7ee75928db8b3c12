import { initializer, initOptions } from "../../initializers/named.ts";
import type { Kernels } from "../../kernels/kernels.ts";
import { lengths, type Options, type ValuesOf } from "../../member/options.ts";
import { size, type Shape } from "../../member/shape.ts";
import { checkInputSize } from "../input-size.ts";
import { LayerFault, type Layer, type LayerPlace, type LayerShape, type Needs } from "../layer.ts";
import { MAX_SIZE, requireChannels, slideOver, type Sliding, type SlidingOptions } from "../sliding.ts";
import { Convolution, scratchBytes, type Geometry } from "./convolution.ts";

/* What convolutions of one and of two dimensions have in common. */

/** What the backward pass and the weights' gradient read besides the output gradient. */
export const needs: Needs = { backward: [], gradient: ["input"] };

/**
 * Most strides × strides: the gradient of the input is computed for so many kinds of places one by
 * one.
 */
export const MAX_KINDS = 4096;

/** Options of channels, groups and initial values. */
export const channelOptions = {
  in_channels: {
    kind: "integer",
    default: null,
    min: 1,
    tries: [4],
    doc: "Channels of the input; inferred, and checked if it is given.",
  },
  out_channels: { kind: "integer", min: 1, max: 100_000, doc: "Channels of the output: the number of kernels." },
  groups: {
    kind: "integer",
    default: 1,
    min: 1,
    tries: [2],
    doc: "How many groups the channels are cut into; each group of outputs sees one group of inputs. As many groups as channels: a depthwise convolution.",
  },
  bias: { kind: "boolean", default: true, doc: "Whether to add a learned number to each output channel." },
  ...initOptions,
} as const satisfies Options;

/** Options of a convolution over `length` dimensions. */
export const windowOptions = <const N extends 1 | 2>(length: N) =>
  ({
    kernel_size: { kind: "sizes", length, min: 1, max: MAX_SIZE, tries: [3], doc: "Size of the kernel." },
    stride: {
      kind: "sizes",
      length,
      default: 1,
      min: 1,
      max: MAX_SIZE,
      tries: [2],
      doc: `How far the kernel moves at each step. Over images, height × width of the stride is at most ${MAX_KINDS}.`,
    },
    padding: {
      kind: "sizes",
      length,
      default: 0,
      min: 0,
      max: MAX_SIZE,
      choices: ["same", "valid"],
      tries: [1, "same"],
      doc: "Zeros on each side of the input. `same`: as many as give an output as long as the input, the odd one behind; `valid`: none.",
    },
    dilation: {
      kind: "sizes",
      length,
      default: 1,
      min: 1,
      max: MAX_SIZE,
      tries: [2],
      doc: "Distance between the kernel's elements.",
    },
  }) as const satisfies Options;

type ConvolutionOptions = ValuesOf<typeof channelOptions> & ValuesOf<ReturnType<typeof windowOptions<1 | 2>>>;

/** @throws LayerFault where options and input do not fit */
function geometryOf(options: ConvolutionOptions, shape: Shape, dimensions: 1 | 2): Geometry {
  requireChannels(shape, dimensions);
  const [inputs, ...sizes] = shape;
  checkChannels(options, shape, options.out_channels);
  const { rows, columns } = slideOver(sizes, windowsOf(options, dimensions));
  checkStrides(rows, columns);
  return { inputs, outputs: options.out_channels, groups: options.groups, rows, columns };
}

function windowsOf({ padding, ...options }: ConvolutionOptions, dimensions: number): (d: number) => SlidingOptions {
  const kernel = lengths(options.kernel_size, dimensions);
  const stride = lengths(options.stride, dimensions);
  const dilation = lengths(options.dilation, dimensions);
  if (padding === "same" && stride.some((step) => step !== 1))
    throw new LayerFault("padding", '"same" needs a stride of 1; give the padding as a number');
  return (d) => {
    const window = { kernel: kernel[d], stride: stride[d], dilation: dilation[d] };
    if (padding === "valid") return { ...window, padding: 0 };
    if (padding !== "same") return { ...window, padding: lengths(padding, dimensions)[d] };
    const total = dilation[d] * (kernel[d] - 1);
    return { ...window, padding: Math.floor(total / 2), after: Math.ceil(total / 2) };
  };
}

/** @throws LayerFault if the input has other channels, or they do not make whole groups */
export function checkChannels(
  options: { readonly in_channels: number | null; readonly groups: number },
  shape: Shape,
  outputs: number,
): void {
  const { in_channels, groups } = options;
  const [inputs] = shape;
  checkInputSize("in_channels", in_channels, shape, 0);
  if (inputs % groups !== 0)
    throw new LayerFault("groups", `is ${groups}, which does not divide the input's channels (${inputs})`);
  if (outputs % groups !== 0)
    throw new LayerFault("groups", `is ${groups}, which does not divide out_channels (${outputs})`);
}

/** @throws LayerFault */
export function checkStrides(rows: Sliding, columns: Sliding): void {
  if (rows.stride * columns.stride <= MAX_KINDS) return;
  throw new LayerFault("stride", `is ${rows.stride} × ${columns.stride}, but may cover at most ${MAX_KINDS} elements`);
}

/** Weight and bias as they start. Every position of the output adds to each row of the gradient. */
export function parametersOf(
  options: ValuesOf<typeof channelOptions>,
  weightShape: readonly number[],
  outputs: number,
  positions: number,
): LayerShape["parameters"] {
  const rowCost = size(weightShape.slice(1)) * positions;
  const weight = {
    name: "weight",
    shape: weightShape,
    initializer: initializer(options.weight_init, weightShape),
    rowCost,
  };
  const bias = {
    name: "bias",
    shape: [outputs],
    initializer: initializer(options.bias_init, weightShape),
    rowCost: positions,
  };
  return options.bias ? [weight, bias] : [weight];
}

export function shapeOf(options: ConvolutionOptions, [{ shape }]: readonly { shape: Shape }[], dimensions: 1 | 2) {
  const geometry = geometryOf(options, shape, dimensions);
  const { inputs, outputs, groups, rows, columns } = geometry;
  const kernel = [rows.kernel, columns.kernel].slice(-dimensions);
  return {
    output: [outputs, ...[rows.count, columns.count].slice(-dimensions)],
    parameters: parametersOf(options, [outputs, inputs / groups, ...kernel], outputs, rows.count * columns.count),
    scratch: scratchBytes(geometry),
    inferred: { in_channels: inputs },
  };
}

export function createOf(kernels: Kernels, options: ConvolutionOptions, place: LayerPlace, dimensions: 1 | 2): Layer {
  const {
    inputs: [x],
    output: y,
  } = place;
  const geometry = geometryOf(options, x.shape, dimensions);
  const convolution = new Convolution(kernels, geometry, place.scratch);
  const positions = geometry.rows.count * geometry.columns.count;
  return {
    forward: ([weight, bias = 0], begin, end) => convolution.apply(y.address, x.address, weight, bias, begin, end),
    backward: ([weight], begin, end) => convolution.transpose(x.gradient, y.gradient, weight, 0, begin, end),
    gradient(parameter, begin, end, samples) {
      const out = place.gradients[parameter];
      if (parameter === 0) convolution.correlate(out, y.gradient, x.address, begin, end, samples);
      else kernels.conv_channel_sums(out, y.gradient, geometry.outputs, positions, begin, end, samples);
    },
  };
}
