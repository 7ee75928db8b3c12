/*
 * A column as the first version of the reader made it: numeric if every cell that is not empty is a
 * decimal number, else categorical. Datasets of that version will always be read this way, so
 * nothing here may change.
 *
 * A column starts out coded: a dictionary of the distinct cells, and a 16-bit code for each row.
 * The 1,001st cell of the dictionary decides. If all distinct cells so far are decimal numbers, the
 * column goes on as doubles. Else it can no longer be a list of classes, and only its missing cells
 * are counted. The first cell that is no number does the same to a column of doubles. That is
 * right, because the column then has more than 1,000 distinct cells.
 */
import { parseDecimal } from "./cell-number.ts";
import { categoricalColumn, grown, MISSING_CODE, numericColumn, tabulated, type Column } from "./column.ts";
import { MAX_CLASSES } from "../dataset.ts";
import { detached } from "../table/rows.ts";

export class FirstColumn {
  readonly #name: string;
  #rows = 0;
  #missing = 0;
  /** One of these two is kept, and neither of them once the column is known to hold text. */
  #codes: Uint16Array<ArrayBuffer> | null = new Uint16Array(64);
  #numbers: Float64Array<ArrayBuffer> | null = null;
  readonly #dictionary = new Map<string, number>();

  constructor(name: string) {
    this.#name = name;
  }

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
      this.#dictionary.set(detached(cell), code);
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

  /** That version did not look for values that are all different. */
  finish(): Column {
    const { summary, values } = this.#finish();
    return { summary: { ...summary, all_different: false }, values };
  }

  #finish(): Column {
    const numbers = this.#numbers ?? (this.#codes && numbersOf(this.#codes, this.#dictionary));
    if (numbers !== null) return numericColumn(this.#name, this.#missing, numbers.subarray(0, this.#rows));
    const codes = this.#codes?.subarray(0, this.#rows) ?? null;
    return categoricalColumn(this.#name, this.#missing, codes, [...this.#dictionary.keys()]);
  }
}

/** The coded cells as doubles, or null if one of them is no number. */
function numbersOf(codes: Uint16Array, dictionary: Map<string, number>): Float64Array<ArrayBuffer> | null {
  const values = Float64Array.from(dictionary.keys(), parseDecimal);
  return values.some(Number.isNaN) ? null : tabulated(codes, values);
}
