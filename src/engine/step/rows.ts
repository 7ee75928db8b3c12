import type { Kernels } from "../kernels/kernels.ts";

/** Rows with fewer numbers than this are copied one by one: a call takes longer. */
const SHORT_ROW = 32;

/** Rows of the data, which are copied into the memory of a job. */
export class Rows {
  readonly values: Float32Array | Int32Array;
  /** The numbers of a row. */
  readonly width: number;
  /** The numbers from one row to the next: where rows overlap, fewer than a row has. */
  readonly step: number;
  /** The bits of the values, so that there is one kind of numbers here. */
  readonly #words: Int32Array;
  readonly #bytes: Buffer;

  constructor(values: Float32Array | Int32Array, width: number, step = width) {
    const { buffer, byteOffset, length, byteLength } = values;
    this.values = values;
    this.width = width;
    this.step = step;
    this.#words = new Int32Array(buffer, byteOffset, length);
    this.#bytes = Buffer.from(buffer, byteOffset, byteLength);
  }

  /** Row `row` becomes sample `sample` of those at `address`. */
  copy(row: number, { i32, u8 }: Pick<Kernels, "i32" | "u8">, address: number, sample: number): void {
    const { width } = this;
    const words = this.#words;
    const source = row * this.step;
    // The address of sample 0 may be negative: only this thread's samples lie in the memory.
    const target = address / 4 + sample * width;
    if (width < SHORT_ROW) for (let i = 0; i < width; i++) i32[target + i] = words[source + i];
    else this.#bytes.copy(u8, target * 4, source * 4, (source + width) * 4);
  }
}
