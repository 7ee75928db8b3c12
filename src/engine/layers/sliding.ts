import { LayerFault } from "./layer.ts";

/** One dimension of a kernel that slides over its input. */
export interface Sliding {
  /** Length of the input. */
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  /** Elements before the first that count as there. */
  readonly padding: number;
  readonly dilation: number;
  /** Length of the output. */
  readonly count: number;
}

/** No kernel, stride, padding or dilation is longer. */
export const MAX_SIZE = 4096;

/** What a layer's options say of one dimension. */
export interface SlidingOptions {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  /** Padding behind the last element; as much as before the first if it is left out. */
  readonly after?: number;
  readonly dilation: number;
  /** Whether a last window may end beyond the padding. It has to begin before it. */
  readonly ceil?: boolean;
}

/**
 * A kernel over an input of `size`, which `what` names ("height").
 * @throws LayerFault where not even one window fits
 */
export function slide(what: string, size: number, options: SlidingOptions): Sliding {
  const { kernel, stride, padding, after = padding, dilation, ceil = false } = options;
  const reach = dilation * (kernel - 1) + 1;
  const room = size + padding + after - reach;
  if (room < 0) {
    const padded = padding + after === 0 ? "" : `, ${size + padding + after} with padding`;
    throw new LayerFault(
      "kernel_size",
      `reaches over ${reach} elements, but the ${what} of the input is ${size}${padded}; make it smaller or add padding`,
    );
  }
  const whole = Math.floor(room / stride) + 1;
  const more = ceil && room % stride > 0 && whole * stride < size + padding ? 1 : 0;
  return { size, kernel, stride, padding, dilation, count: whole + more };
}

/** The rows and columns of an image, or a sequence as an image of one row. */
export function slideOver(
  lengths: readonly number[],
  options: (dimension: number) => SlidingOptions,
): { rows: Sliding; columns: Sliding } {
  if (lengths.length === 1) {
    const rows = { size: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, count: 1 };
    return { rows, columns: slide("length", lengths[0], options(0)) };
  }
  return { rows: slide("height", lengths[0], options(0)), columns: slide("width", lengths[1], options(1)) };
}

const FORMS = ["[channels, length]", "[channels, height, width]"];

/**
 * Checks that an input has channels and `dimensions` dimensions more.
 * @throws LayerFault
 */
export function requireChannels(shape: readonly number[], dimensions: 1 | 2): void {
  if (shape.length === dimensions + 1) return;
  throw new LayerFault(
    null,
    `takes ${FORMS[dimensions - 1]}, but its input is [${shape.join(", ")}]; give the data another shape (/data/shape), or put a reshape before it`,
  );
}
