import type { MissingCells } from "./cell-word.ts";
import { enough, grown, MISSING_CODE, tabulated } from "./column.ts";
import { MAX_CLASSES } from "../dataset.ts";
import { Evidence } from "./evidence.ts";
import type { DeclaredType } from "../reading.ts";
import { WordTable } from "../kernels/word-table.ts";
import type { RowBatch } from "../table/row-batch.ts";
import { detached } from "../table/rows.ts";

/** The distinct cells of a column that has few of them, and a code for each row. */
export class Dictionary {
  readonly #missing: MissingCells;
  readonly #codes = new Map<string, number>();
  /** The line on which the cell of each code stands first. */
  readonly #lines: number[] = [];
  #tokens = 0;
  #rows: Uint16Array<ArrayBuffer> = new Uint16Array(64);
  /** The codes of cells, for kernels. */
  #table: WordTable | null = null;

  constructor(missing: MissingCells) {
    this.#missing = missing;
  }

  /** Whether the distinct values are still few enough to be classes. */
  add(row: number, cell: string, line: number): boolean {
    if (row === this.#rows.length) this.#rows = grown(this.#rows, new Uint16Array(2 * row));
    if (cell === "") {
      this.#rows[row] = MISSING_CODE;
      return true;
    }
    let code = this.#codes.get(cell);
    if (code === undefined) {
      code = this.#codes.size;
      this.#codes.set(detached(cell), code);
      this.#lines.push(line);
      if (this.#missing.is(cell) !== "no") this.#tokens++;
    }
    this.#rows[row] = code;
    return this.#codes.size - this.#tokens <= MAX_CLASSES;
  }

  /** Takes the cells that it has, from a row on. Gives the first row whose cell may be new. */
  addKnown(row: number, batch: RowBatch, column: number, from: number): number {
    this.#table ??= new WordTable(batch.kernels);
    const { place } = this.#table;
    if (place === null) return from;
    const { run } = batch.kernels;
    const cells = batch.cells(column);
    const to = run.words_of(place.address, place.slots, cells, batch.stride, from, batch.rows, batch.values);
    const end = row + to - from;
    if (end > this.#rows.length)
      this.#rows = grown(this.#rows, new Uint16Array(enough(end, batch.expected, this.#rows.length)));
    this.#rows.set(batch.codes(from, to), row);
    return to;
  }

  /** Remembers for `addKnown` a cell that was just added. */
  learn(cell: string, { begin, end }: { begin: number; end: number }): void {
    const code = this.#codes.get(cell);
    if (code !== undefined) this.#table?.add(begin, end, code);
  }

  /** Whether the distinct values would be too many with one cell more. */
  isFullFor(cell: string): boolean {
    if (this.#codes.size - this.#tokens < MAX_CLASSES || cell === "") return false;
    return !this.#codes.has(cell) && this.#missing.is(cell) === "no";
  }

  evidence(declared: DeclaredType | null): Evidence {
    const evidence = new Evidence(declared);
    let code = 0;
    for (const cell of this.#codes.keys()) {
      const line = this.#lines[code++];
      if (this.#missing.is(cell) === "no") evidence.note(cell, line);
    }
    return evidence;
  }

  /** The codes of the rows and the spellings they stand for, without the cells that are missing. */
  compact(rows: number, isWordMissing: boolean): { codes: Uint16Array; cells: string[]; missing: number } {
    const cells: string[] = [];
    // As small as it can be: a table may have ten thousand columns.
    const positions = new Uint16Array(this.#codes.size);
    for (const [cell, code] of this.#codes) {
      const is = this.#missing.is(cell);
      const isValue = is === "no" || (is === "besideValues" && !isWordMissing);
      positions[code] = isValue ? cells.push(cell) - 1 : MISSING_CODE;
    }
    const codes = this.#rows.slice(0, rows);
    let missing = 0;
    for (let row = 0; row < rows; row++) {
      const position = codes[row] === MISSING_CODE ? MISSING_CODE : positions[codes[row]];
      codes[row] = position;
      if (position === MISSING_CODE) missing++;
    }
    return { codes, cells, missing };
  }

  /** Calls `take` with the cell of each row. */
  each(rows: number, take: (cell: string) => void): void {
    const cells = [...this.#codes.keys()];
    for (let row = 0; row < rows; row++) take(this.#rows[row] === MISSING_CODE ? "" : cells[this.#rows[row]]);
  }

  /** At least as many bytes as the cells of all rows have in UTF-8. */
  mostBytes(rows: number): number {
    const lengths = Float64Array.from(this.#codes.keys(), (cell) => 3 * cell.length);
    let bytes = 0;
    for (let row = 0; row < rows; row++) if (this.#rows[row] !== MISSING_CODE) bytes += lengths[this.#rows[row]];
    return bytes;
  }

  /** Gives each row what `value` makes of its cell; NaN for an empty cell. */
  map(rows: number, value: (cell: string) => number): Float64Array<ArrayBuffer> {
    return tabulated(this.#rows.subarray(0, rows), Float64Array.from(this.#codes.keys(), value));
  }

  count(rows: number, matches: (cell: string) => boolean): number {
    const matching = Array.from(this.#codes.keys(), matches);
    let count = 0;
    for (let row = 0; row < rows; row++) {
      const code = this.#rows[row];
      if (code === MISSING_CODE ? matches("") : matching[code]) count++;
    }
    return count;
  }
}
