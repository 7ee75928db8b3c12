/**
 * Rows that a kernel has split (kernels/split.kernel.as.ts), in the kernels' memory. They are there
 * until the next rows are split. The kernels of the columns write beside them what they make of the
 * cells of a column.
 */
import type { ReaderKernels } from "../kernels/reader.ts";

const MAX_ROWS = 4096;
const MAX_CELLS = 2 ** 16;
const CELL_BYTES = 8;

/** What ended the rows, as the kernel counts it. */
const outcomes = ["full", "incomplete", "not plain"] as const;

/** Three places that are as long as the text may be. */
export interface TextPlace {
  readonly text: number;
  /** For cells that are without the quotes that were doubled. */
  readonly room: number;
  /** For the texts of a column, one after the other. */
  readonly texts: number;
}

export interface PlainFormat {
  readonly columns: number;
  readonly separator: number;
  /** The first byte of comments, or -1. */
  readonly comment: number;
}

export class RowBatch {
  readonly kernels: ReaderKernels;
  rows = 0;
  /** Those of the rows' text. The texts of a column have at most as many. */
  bytes = 0;
  /** How many rows the table will have, more or less. */
  expected = 0;
  /** The bytes from one row to the next in the list of cells. */
  stride = 0;
  /** Where kernels write a value of each row. */
  readonly values: number;
  /** Where they write the texts of a column, and where each of them ends. */
  texts = 0;
  readonly ends: number;
  readonly #lines: number;
  readonly #cells: number;

  constructor(kernels: ReaderKernels) {
    this.kernels = kernels;
    this.#lines = kernels.allocate(4 * MAX_ROWS);
    this.#cells = kernels.allocate(CELL_BYTES * MAX_CELLS);
    this.values = kernels.allocate(8 * MAX_ROWS);
    this.ends = kernels.allocate(4 * MAX_ROWS);
  }

  /** Splits the text between two addresses, as far as its rows are plain. */
  split(begin: number, end: number, line: number, format: PlainFormat, { room, texts }: TextPlace) {
    const { columns, separator, comment } = format;
    const { run } = this.kernels;
    const most = Math.min(MAX_ROWS, Math.floor(MAX_CELLS / columns));
    this.rows = run.split(begin, end, line, columns, separator, comment, most, this.#lines, this.#cells, room);
    const next = run.split_next();
    this.bytes = next - begin;
    this.stride = CELL_BYTES * columns;
    this.texts = texts;
    return { next, line: run.split_line(), outcome: outcomes[run.split_outcome()] };
  }

  /** The address of a column's first cell. */
  cells(column: number): number {
    return this.#cells + CELL_BYTES * column;
  }

  line(row: number): number {
    return this.kernels.bytes.readUInt32LE(this.#lines + 4 * row);
  }

  /** Where a cell is. */
  place(column: number, row: number): { begin: number; end: number } {
    const { bytes } = this.kernels;
    const at = this.cells(column) + row * this.stride;
    return { begin: bytes.readUInt32LE(at), end: bytes.readUInt32LE(at + 4) };
  }

  cell(column: number, row: number): string {
    const { begin, end } = this.place(column, row);
    return this.kernels.bytes.toString("utf8", begin, end);
  }

  row(row: number): string[] {
    return Array.from({ length: this.stride / CELL_BYTES }, (_, column) => this.cell(column, row));
  }

  /** What a kernel wrote to `values`, from one row to another. */
  doubles(from: number, to: number): Float64Array {
    return new Float64Array(this.kernels.buffer, this.values + 8 * from, to - from);
  }

  codes(from: number, to: number): Uint16Array {
    return new Uint16Array(this.kernels.buffer, this.values + 2 * from, to - from);
  }

  /** The texts that a kernel wrote last. */
  textsUntil(): Uint8Array {
    return this.kernels.bytes.subarray(this.texts, this.kernels.run.texts_end());
  }

  /** What a kernel wrote to `ends`. */
  endsOf(from: number, to: number): Uint32Array {
    return new Uint32Array(this.kernels.buffer, this.ends + 4 * from, to - from);
  }
}
