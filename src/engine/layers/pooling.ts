import { lengths, type Options } from "../member/options.ts";
import type { Shape } from "../member/shape.ts";
import { LayerFault, type LayerPlace } from "./layer.ts";
import { MAX_SIZE, requireChannels, slideOver, type Sliding } from "./sliding.ts";

/* What pooling layers of one and of two dimensions have in common. */

/** Options of windows over `length` dimensions. */
export const poolOptions = <const N extends 1 | 2>(length: N) =>
  ({
    kernel_size: { kind: "sizes", length, min: 1, max: MAX_SIZE, tries: [3], doc: "Size of a window." },
    stride: {
      kind: "sizes",
      length,
      default: null,
      min: 1,
      max: MAX_SIZE,
      tries: [1],
      doc: "Distance between windows; that of `kernel_size` if it is null.",
    },
    padding: {
      kind: "sizes",
      length,
      default: 0,
      min: 0,
      max: MAX_SIZE,
      tries: [1],
      doc: "Elements added on each side, at most half of a window.",
    },
    ceil_mode: {
      kind: "boolean",
      default: false,
      doc: "Whether a last window may end beyond the input and its padding.",
    },
  }) as const satisfies Options;

export interface Windows {
  readonly kernel_size: number | readonly number[];
  readonly stride: number | readonly number[] | null;
  readonly padding: number | readonly number[];
  readonly dilation?: number | readonly number[];
  readonly ceil_mode: boolean;
}

export interface Pooling {
  readonly channels: number;
  readonly rows: Sliding;
  readonly columns: Sliding;
  readonly output: Shape;
}

/**
 * The windows over [channels, length] or [channels, height, width].
 * @throws LayerFault where options and input do not fit
 */
export function poolingOf(options: Windows, shape: Shape, dimensions: 1 | 2): Pooling {
  requireChannels(shape, dimensions);
  const [channels, ...sizes] = shape;
  const kernel = lengths(options.kernel_size, dimensions);
  const stride = lengths(options.stride ?? kernel, dimensions);
  const padding = lengths(options.padding, dimensions);
  const dilation = lengths(options.dilation ?? 1, dimensions);
  const { rows, columns } = slideOver(sizes, (d) => {
    const half = Math.floor((dilation[d] * (kernel[d] - 1) + 1) / 2);
    if (padding[d] > half)
      throw new LayerFault("padding", `is ${padding[d]}, but may be at most half of a window, ${half} here`);
    const ceil = options.ceil_mode;
    return { kernel: kernel[d], stride: stride[d], padding: padding[d], dilation: dilation[d], ceil };
  });
  return { channels, rows, columns, output: [channels, ...[rows.count, columns.count].slice(-dimensions)] };
}

/** A layer that treats each plane of each sample by itself. */
export function byPlanes(
  { inputs: [input], output }: LayerPlace,
  forward: (y: number, x: number, planes: number, from: number) => void,
  backward: (dx: number, dy: number, planes: number, from: number) => void,
) {
  const channels = input.shape[0];
  const [x, y] = [input.size * 4, output.size * 4];
  return {
    forward(_weights: readonly number[], begin: number, end: number) {
      const planes = (end - begin) * channels;
      forward(output.address + begin * y, input.address + begin * x, planes, begin * output.size);
    },
    backward(_weights: readonly number[], begin: number, end: number) {
      const planes = (end - begin) * channels;
      backward(input.gradient + begin * x, output.gradient + begin * y, planes, begin * output.size);
    },
  };
}
