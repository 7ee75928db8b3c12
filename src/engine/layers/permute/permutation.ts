import type { Kernels } from "../../kernels/kernels.ts";
import { size, type Shape } from "../../member/shape.ts";

/** One dimension of what is written: how long it is and how far apart its elements are read. */
interface Dimension {
  readonly length: number;
  readonly bytes: number;
}

/**
 * Copies samples of `shape` with their dimensions in the order `dims`. The two innermost dimensions
 * are one call of a kernel.
 */
export class Permutation {
  readonly #kernels: Kernels;
  readonly #bytes: number;
  readonly #outer: readonly Dimension[];
  readonly #rows: Dimension;
  readonly #columns: Dimension;

  constructor(kernels: Kernels, shape: Shape, dims: readonly number[]) {
    const one = { length: 1, bytes: 0 };
    const [columns = one, rows = one, ...outer] = merged(shape, dims).reverse();
    this.#kernels = kernels;
    this.#bytes = size(shape) * 4;
    this.#outer = outer.reverse();
    this.#rows = rows;
    this.#columns = columns;
  }

  /** Samples begin..end; the addresses are those of sample 0. */
  copy(to: number, from: number, begin: number, end: number): void {
    for (let sample = begin; sample < end; sample++)
      this.#copy(to + sample * this.#bytes, from + sample * this.#bytes, 0);
  }

  /** Dimensions `depth` and inwards; returns where the next element is written. */
  #copy(to: number, from: number, depth: number): number {
    if (depth === this.#outer.length) {
      const { length: rows, bytes: rowBytes } = this.#rows;
      const { length: columns, bytes: columnBytes } = this.#columns;
      this.#kernels.copy_apart(to, from, rows, columns, rowBytes, columnBytes);
      return to + rows * columns * 4;
    }
    const { length, bytes } = this.#outer[depth];
    let next = to;
    for (let i = 0; i < length; i++) next = this.#copy(next, from + i * bytes, depth + 1);
    return next;
  }
}

/** The dimensions in their new order; neighbours that stay neighbours become one. */
function merged(shape: Shape, dims: readonly number[]): Dimension[] {
  const list: Dimension[] = [];
  for (const dim of dims) {
    const dimension = { length: shape[dim], bytes: size(shape.slice(dim + 1)) * 4 };
    const before = list.at(-1);
    if (dimension.length === 1) continue;
    if (before?.bytes === dimension.length * dimension.bytes)
      list[list.length - 1] = { length: before.length * dimension.length, bytes: dimension.bytes };
    else list.push(dimension);
  }
  return list;
}
