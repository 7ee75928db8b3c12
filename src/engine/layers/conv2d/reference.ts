import type { Geometry } from "./convolution.ts";

/*
 * A convolution in double, as its definition reads: a weight, an element of x and an element of y
 * meet where x's place is y's place × stride + the tap × dilation − the padding. All three passes
 * go over the same triples.
 */

/** The output, without bias. `x` holds whole samples. */
export function apply(geometry: Geometry, x: ArrayLike<number>, weight: ArrayLike<number>): Float64Array {
  const y = new Float64Array((x.length / inputSize(geometry)) * outputSize(geometry));
  meet(geometry, x.length / inputSize(geometry), (xi, wi, yi) => (y[yi] += weight[wi] * x[xi]));
  return y;
}

/** The gradient of x; also the output of the transposed convolution of y. */
export function transpose(geometry: Geometry, y: ArrayLike<number>, weight: ArrayLike<number>): Float64Array {
  const x = new Float64Array((y.length / outputSize(geometry)) * inputSize(geometry));
  meet(geometry, y.length / outputSize(geometry), (xi, wi, yi) => (x[xi] += weight[wi] * y[yi]));
  return x;
}

/** The gradient of the weight. */
export function correlate(geometry: Geometry, y: ArrayLike<number>, x: ArrayLike<number>): Float64Array {
  const { outputs, inputs, groups, rows, columns } = geometry;
  const weight = new Float64Array(outputs * (inputs / groups) * rows.kernel * columns.kernel);
  meet(geometry, x.length / inputSize(geometry), (xi, wi, yi) => (weight[wi] += y[yi] * x[xi]));
  return weight;
}

function inputSize({ inputs, rows, columns }: Geometry): number {
  return inputs * rows.size * columns.size;
}

function outputSize({ outputs, rows, columns }: Geometry): number {
  return outputs * rows.count * columns.count;
}

/** Calls `visit` with the indices of every element of x, weight and element of y that meet. */
function meet(geometry: Geometry, samples: number, visit: (x: number, weight: number, y: number) => void): void {
  const { inputs, outputs, groups, rows, columns } = geometry;
  const channels = inputs / groups;
  const index = (shape: readonly number[], at: readonly number[]) => at.reduce((sum, i, d) => sum * shape[d] + i, 0);
  const place = (i: number, tap: number, { stride, dilation, padding }: typeof rows) =>
    i * stride + tap * dilation - padding;
  const positions = places([rows.count, columns.count]);
  for (const [n, o, c, kh, kw] of places([samples, outputs, channels, rows.kernel, columns.kernel])) {
    const channel = Math.floor(o / (outputs / groups)) * channels + c;
    for (const [i, j] of positions) {
      const row = place(i, kh, rows);
      const column = place(j, kw, columns);
      if (row < 0 || row >= rows.size || column < 0 || column >= columns.size) continue;
      visit(
        index([samples, inputs, rows.size, columns.size], [n, channel, row, column]),
        index([outputs, channels, rows.kernel, columns.kernel], [o, c, kh, kw]),
        index([samples, outputs, rows.count, columns.count], [n, o, i, j]),
      );
    }
  }
}

/** All places of an array of `shape`, in row-major order. */
function places([length, ...rest]: readonly number[]): number[][] {
  const inner = rest.length === 0 ? [[]] : places(rest);
  return Array.from({ length }, (_, i) => inner.map((place) => [i, ...place])).flat();
}
