import type { Sliding } from "../sliding.ts";

/*
 * Where the numbers of an image lie that meet under a kernel that slides over it: at
 * `position + tap`, for each pair of a position in the output and a tap of the kernel. Both are
 * byte offsets, so that a product needs two short lists instead of a matrix with a row for each
 * tap.
 */

/** One dimension of a read: position i and tap t meet at element first + i × stride + taps[t]. */
export interface Axis {
  /** Length of the image; elements outside are 0. */
  readonly size: number;
  readonly first: number;
  readonly stride: number;
  readonly count: number;
  readonly taps: readonly number[];
}

/** How a product reads an image. */
export interface Reading {
  readonly rows: Axis;
  readonly columns: Axis;
  /** The part of the image that is copied out first; null if the image is read in place. */
  readonly window: Window | null;
  /** Elements of a row and of a plane of what is read. */
  readonly rowLength: number;
  readonly planeSize: number;
  /** Bytes from the image's address to the first element that is read, if it is read in place. */
  readonly base: number;
}

/** See `conv_window`. */
export interface Window {
  readonly top: number;
  readonly rows: number;
  readonly left: number;
  readonly columns: number;
  readonly stride: number;
}

/**
 * An image is copied out where it has padding, and where the stride makes columns lie apart: the
 * copy puts them side by side.
 */
export function reading(rows: Axis, columns: Axis): Reading {
  const [top, bottom] = span(rows);
  const [left, right] = span(columns);
  const inside = top >= 0 && bottom <= rows.size && left >= 0 && right <= columns.size;
  if (inside && columns.stride === 1) {
    const rowLength = columns.size;
    const base = (top * rowLength + left) * 4;
    return { rows, columns, window: null, rowLength, planeSize: rows.size * rowLength, base };
  }
  const window = {
    top,
    rows: bottom - top,
    left,
    columns: Math.ceil((right - left) / columns.stride),
    stride: columns.stride,
  };
  const rowLength = window.columns * window.stride;
  return { rows, columns, window, rowLength, planeSize: window.rows * rowLength, base: 0 };
}

/** The offset of every position, row by row. */
export function positions({ rows, columns, rowLength }: Reading): Int32Array {
  const list = new Int32Array(rows.count * columns.count);
  let at = 0;
  for (let i = 0; i < rows.count; i++)
    for (let j = 0; j < columns.count; j++) list[at++] = (i * rows.stride * rowLength + j) * 4;
  return list;
}

/**
 * Where vectors of four positions lie that cover each row of the output, first in the image and
 * then in the output: the last of a row reaches back over the one before. Their number is made a
 * multiple of 8 by repeating the last.
 */
export function vectors({ rows, columns, rowLength }: Reading): Int32Array {
  const perRow = Math.ceil(columns.count / 4);
  const wanted = rows.count * perRow;
  const count = Math.ceil(wanted / 8) * 8;
  const list = new Int32Array(2 * count);
  for (let at = 0; at < count; at++) {
    const row = Math.floor(Math.min(at, wanted - 1) / perRow);
    const column = Math.min((Math.min(at, wanted - 1) % perRow) * 4, columns.count - 4);
    list[at] = (row * rows.stride * rowLength + column) * 4;
    list[count + at] = (row * columns.count + column) * 4;
  }
  return list;
}

/** The offset of every tap by channel, row and column of the kernel. */
export function taps({ rows, columns, rowLength, planeSize }: Reading, channels: number): Int32Array {
  const [top] = span(rows);
  const [left, right] = span(columns);
  const perPhase = Math.ceil((right - left) / columns.stride);
  const places = rows.taps.flatMap((row) =>
    columns.taps.map((column) => {
      const distance = columns.first + column - left;
      const place = (distance % columns.stride) * perPhase + Math.floor(distance / columns.stride);
      return (rows.first + row - top) * rowLength + place;
    }),
  );
  return Int32Array.from(
    { length: channels * places.length },
    (_, i) => (Math.floor(i / places.length) * planeSize + places[i % places.length]) * 4,
  );
}

/** Vectors of up to four neighbouring taps, as `conv_few_sums` reads them. */
export interface TapVectors {
  readonly from: Int32Array;
  readonly to: Int32Array;
}

export function tapVectors(taps: Int32Array): TapVectors {
  const from: number[] = [];
  const to: number[] = [];
  for (let tap = 0; tap < taps.length;) {
    const begin = tap++;
    while (tap < Math.min(begin + 4, taps.length) && taps[tap] - taps[tap - 1] === 4) tap++;
    from.push(taps[tap - 1] - 12);
    to.push(begin * 4);
  }
  return { from: Int32Array.from(from), to: Int32Array.from([...to, taps.length * 4]) };
}

/** First and last + 1 of the elements that an axis reads. */
export function span({ first, stride, count, taps }: Axis): [number, number] {
  const least = taps.reduce((a, b) => Math.min(a, b));
  const most = taps.reduce((a, b) => Math.max(a, b));
  return [first + least, first + (count - 1) * stride + most + 1];
}

/** How the output of a sliding kernel reads its input. */
export function inputAxis({ size, kernel, stride, padding, dilation, count }: Sliding): Axis {
  return { size, first: -padding, stride, count, taps: Array.from({ length: kernel }, (_, i) => i * dilation) };
}

/** Elements first, first + step, … of the input, which the same taps of the kernel meet. */
export interface Comb {
  readonly first: number;
  readonly step: number;
  /** The kernel's taps that meet them. */
  readonly taps: readonly number[];
  /** How these elements read the output. */
  readonly axis: Axis;
}

/**
 * The elements of the input that any tap meets, sorted by which taps do. With a stride of s there
 * are s kinds of elements; those that the kernel steps over are in none.
 */
export function combs({ size, stride, padding, kernel, dilation, count }: Sliding): Comb[] {
  const byPhase = Map.groupBy(
    Array.from({ length: kernel }, (_, tap) => tap),
    (tap) => (tap * dilation) % stride,
  );
  return [...byPhase]
    .map(([phase, taps]): Comb => {
      const first = (((phase - padding) % stride) + stride) % stride;
      const axis = {
        size: count,
        first: (first + padding - phase) / stride,
        stride: 1,
        count: Math.max(0, Math.ceil((size - first) / stride)),
        taps: taps.map((tap) => (phase - tap * dilation) / stride),
      };
      return { first, step: stride, taps, axis };
    })
    .filter(({ axis }) => axis.count > 0);
}
