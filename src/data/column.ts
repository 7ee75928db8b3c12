/*
 * Builds one typed column from its cells, without knowing in advance what type it will turn out to be.
 *
 * A column starts out coded: a dictionary of the distinct cells, and a 16-bit code for each row. That suits small
 * integers, flags and categories, which is what most columns hold. Cell number 1,001 of the dictionary decides: if all
 * distinct cells so far are decimal numbers, the column goes on as doubles; else it cannot be a list of classes any
 * more and only its missing cells are counted. The first cell that is no number sends a column of doubles the same way,
 * and rightly so, since it has more than 1,000 distinct cells. So no cell is ever needed twice, and a column takes 0, 2
 * or 8 bytes a row.
 */
import { MAX_CLASSES, MAX_CLASS_LENGTH, type ColumnSummary } from "./dataset.ts";

/** The code of an empty cell. */
export const MISSING_CODE = 0xffff;

/**
 * Doubles with NaN for empty cells if the column is numeric; if it is categorical, indices into `classes` with
 * `MISSING_CODE` for empty cells, or null where there are too many classes for that.
 */
export type ColumnValues = Float64Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | null;

export interface Column {
  readonly summary: ColumnSummary;
  readonly values: ColumnValues;
}

const DECIMAL = /^[ \t]*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[ \t]*$/;

/**
 * The value of a decimal number, or NaN if the cell is none. `+1`, `.5`, `1.` and `1e-3` are; so is a number between
 * spaces or tabs. `0x10`, `1_000`, `NaN`, `Infinity` and what a double cannot hold (`1e999`) are not.
 */
export function parseDecimal(cell: string): number {
  if (!DECIMAL.test(cell)) return Number.NaN;
  const value = Number(cell);
  return Number.isFinite(value) ? value : Number.NaN;
}

export class ColumnBuilder {
  #rows = 0;
  #missing = 0;
  /** Exactly one of these two is kept; neither once the column is known to hold text. */
  #codes: Uint16Array<ArrayBuffer> | null = new Uint16Array(64);
  #numbers: Float64Array<ArrayBuffer> | null = null;
  readonly #dictionary = new Map<string, number>();

  add(cell: string): void {
    const row = this.#rows++;
    if (cell === "") this.#missing++;
    if (this.#codes !== null) this.#addCode(this.#codes, row, cell);
    else if (this.#numbers !== null) this.#addNumber(this.#numbers, row, cell);
  }

  #addCode(codes: Uint16Array<ArrayBuffer>, row: number, cell: string): void {
    if (row === codes.length) codes = this.#codes = grown(codes, new Uint16Array(2 * row));
    codes[row] = cell === "" ? MISSING_CODE : this.#code(cell);
    if (this.#dictionary.size > MAX_CLASSES) this.#decode(codes);
  }

  #code(cell: string): number {
    let code = this.#dictionary.get(cell);
    if (code === undefined) {
      code = this.#dictionary.size;
      this.#dictionary.set(cell, code);
    }
    return code;
  }

  #decode(codes: Uint16Array): void {
    this.#codes = null;
    this.#numbers = numbersOf(codes, this.#dictionary);
    this.#dictionary.clear();
  }

  #addNumber(numbers: Float64Array<ArrayBuffer>, row: number, cell: string): void {
    if (row === numbers.length) numbers = this.#numbers = grown(numbers, new Float64Array(2 * row));
    numbers[row] = parseDecimal(cell);
    if (Number.isNaN(numbers[row]) && cell !== "") this.#numbers = null;
  }

  finish(name: string): Column {
    const missing = this.#missing;
    const numbers = this.#numbers ?? (this.#codes && numbersOf(this.#codes, this.#dictionary));
    if (numbers !== null) return numericColumn(name, missing, numbers.subarray(0, this.#rows));
    const codes = this.#codes?.subarray(0, this.#rows) ?? null;
    return categoricalColumn(name, missing, codes, [...this.#dictionary.keys()]);
  }
}

function grown<T extends Uint16Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** The coded cells as doubles, or null if one of them is no number. */
function numbersOf(codes: Uint16Array, dictionary: Map<string, number>): Float64Array<ArrayBuffer> | null {
  const values = Float64Array.from(dictionary.keys(), parseDecimal);
  if (values.some(Number.isNaN)) return null;
  const numbers = new Float64Array(codes.length);
  // A loop, since `from` with a function takes fifty times as long.
  for (let row = 0; row < codes.length; row++)
    numbers[row] = codes[row] === MISSING_CODE ? Number.NaN : values[codes[row]];
  return numbers;
}

function numericColumn(name: string, missing: number, values: Float64Array<ArrayBuffer>): Column {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  const distinct = new Set<number>();
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    if (distinct.size <= MAX_CLASSES) distinct.add(value);
  }
  const mean = sum / (values.length - missing);
  const classes = distinct.size > MAX_CLASSES ? null : Array.from(Float64Array.from(distinct).toSorted(), String);
  const summary = {
    name,
    type: "numeric",
    missing,
    min: finite(min),
    max: finite(max),
    mean: finite(mean),
    classes,
    all_different: false,
    reason: null,
  } as const;
  return { summary, values };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function categoricalColumn(name: string, missing: number, codes: Uint16Array | null, cells: string[]): Column {
  const nothing = {
    name,
    type: "categorical",
    missing,
    min: null,
    max: null,
    mean: null,
    all_different: false,
    reason: null,
  } as const;
  if (codes === null || cells.some((cell) => cell.length > MAX_CLASS_LENGTH)) {
    return { summary: { ...nothing, classes: null }, values: null };
  }
  const order = cells
    .map((cell, code) => ({ cell, code, bytes: Buffer.from(cell) }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
  const classes = order.map(({ cell }) => cell);
  const position = new Uint16Array(cells.length);
  for (const [index, { code }] of order.entries()) position[code] = index;
  const values = codes.map((code) => (code === MISSING_CODE ? MISSING_CODE : position[code]));
  return { summary: { ...nothing, classes }, values };
}
