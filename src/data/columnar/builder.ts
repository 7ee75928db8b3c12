/*
 * A column of a columnar file, Parquet or Arrow, whose values come one after the other.
 *
 * The file says which type a column has, so nothing is detected: a text stays a text even if it
 * looks like a number. For the rest a column is as if it came from a CSV file: an empty text is
 * missing, a number that is NaN too, and a column of whole numbers that no double holds exactly
 * keeps their spelling, and is categorical. That shows late, so all its values have to come again.
 */
import { MissingCells } from "../columns/cell-word.ts";
import { dateColumn, numericColumn, type Column } from "../columns/column.ts";
import type { KeptTexts, TextRoom } from "../columns/kept-texts.ts";
import { withTexts } from "../columns/table-columns.ts";
import { TypedColumn } from "../columns/typed-column.ts";
import { MAX_CELL_LENGTH } from "../dataset.ts";
import { columnFault, DamagedFile } from "./damage.ts";
import type { ColumnKind, Value } from "./kinds.ts";

/** A cell of a CSV file takes at least as much, with its separator. */
export const CELL_BYTES = 2;
/** The last day that a date of JavaScript can be. */
const MAX_TIME_MS = 8.64e15;

export interface BuiltColumn {
  readonly column: Column;
  readonly texts: KeptTexts | null;
}

/** @param room that of the texts; null: they are not kept */
export function tableOf(built: readonly BuiltColumn[], room: TextRoom | null): Column[] {
  return withTexts(
    built.map(({ column }) => column),
    built.map(({ texts }) => texts),
    room,
  );
}

export class ColumnBuilder {
  readonly #name: string;
  readonly #type: ColumnKind<never>["type"];
  readonly #numbers: Float64Array<ArrayBuffer>;
  readonly #cells: TypedColumn | null;
  readonly #texts: TextRoom | null;
  #missing: number;
  #needsTexts = false;

  /** @param texts for the texts of a column without classes; null: they are not kept */
  constructor(name: string, type: ColumnKind<never>["type"], rows: number, texts: TextRoom | null) {
    this.#name = name;
    this.#type = type;
    this.#missing = rows;
    this.#texts = texts;
    const holdsDoubles = type === "numeric" || type === "date";
    this.#numbers = new Float64Array(holdsDoubles ? rows : 0).fill(Number.NaN);
    this.#cells = holdsDoubles ? null : new TypedColumn(name, type, new MissingCells([]), texts);
  }

  /** Row by row, from 0. */
  add(value: Value | null, row: number): void {
    if (this.#cells !== null) this.#addCell(this.#cells, value === null ? "" : String(value), row);
    else if (value !== null) this.#addNumber(value as number | bigint, row);
  }

  #addCell(cells: TypedColumn, cell: string, row: number): void {
    if (cell.length > MAX_CELL_LENGTH)
      throw columnFault(
        this.#name,
        `has a text of more than ${MAX_CELL_LENGTH} characters in row ${row}. Shorten it, or leave the column out.`,
      );
    cells.add(cell, row);
  }

  #addNumber(value: number | bigint, row: number): void {
    const number = Number(value);
    if (typeof value === "bigint" && BigInt(number) !== value) this.#needsTexts = true;
    if (Number.isNaN(number)) return;
    this.#numbers[row] = number;
    this.#missing--;
    if (this.#type === "date" && Math.abs(number) > MAX_TIME_MS)
      throw columnFault(this.#name, `holds a date in row ${row} that is too far away. Correct it, or make it null.`);
    if (!Number.isFinite(number))
      throw columnFault(
        this.#name,
        `holds ${number} in row ${row}. All numbers must be finite: replace it, or make it null.`,
      );
  }

  /** Whether no double holds one of the whole numbers. */
  get needsTexts(): boolean {
    return this.#needsTexts;
  }

  /** To be given all the values again. */
  ofTexts(): ColumnBuilder {
    return new ColumnBuilder(this.#name, "categorical", 0, this.#texts);
  }

  finish(): BuiltColumn {
    const [name, missing, numbers] = [this.#name, this.#missing, this.#numbers];
    if (this.#type === "date") return { column: dateColumn(name, missing, numbers), texts: null };
    if (this.#cells === null) return { column: numericColumn(name, missing, numbers), texts: null };
    this.#cells.settle({ mark: ".", proof: "declared" });
    return { column: this.#cells.finish(), texts: this.#cells.texts };
  }
}

/** A value of a dictionary. */
export function entry<T>(dictionary: readonly T[], index: number): T {
  if (!(index >= 0 && index < dictionary.length)) throw new DamagedFile(`there is no value ${index} in its dictionary`);
  return dictionary[index];
}
