/**
 * From the rows of a table to its typed columns.
 *
 * Rows are added as they are read. After the last row `settle` decides the decimal mark and the
 * type of each column. A column may then need its cells a second time: the rows are read again and
 * given to `addAgain`. So a file is parsed twice only if one of its columns needs that.
 */
import { MissingCells } from "./cell-word.ts";
import { holdsDoubles, type Column } from "./column.ts";
import { InvalidDataset, MAX_CLASS_CHARACTERS_LISTED, MAX_CLASSES_LISTED, type Reason } from "../dataset.ts";
import { FirstColumn } from "./first-column.ts";
import { FIRST_READING, type DecimalMark, type DeclaredType } from "../reading.ts";
import type { KeptTexts, TextRoom } from "./kept-texts.ts";
import { setMissingWords } from "./plain-cells.ts";
import type { RowBatch } from "../table/row-batch.ts";
import { CodedTexts } from "../text/coded-texts.ts";
import { mostRoom } from "./texts-in-the-making.ts";
import { TypedColumn } from "./typed-column.ts";
import type { Mark } from "./verdict.ts";

export interface ColumnOptions {
  /** The version of the reading. */
  readonly version: number;
  /** Null: it is detected. A mark that is given counts as proved. */
  readonly decimal: DecimalMark | null;
  /** Null: the default tokens. */
  readonly missingValues: readonly string[] | null;
  /**
   * Whether a point that nothing proves is doubtful, as in a file with semicolons: where commas are
   * decimal, points group by thousands. The columns are numbers all the same, and say so.
   */
  readonly pointMayGroup?: boolean;
  /** Keeps the texts of columns without classes; null or not given: they are not kept. */
  readonly texts?: TextRoom | null;
  /** By column. Each name must be one of the table's. */
  readonly types: Readonly<Record<string, DeclaredType>>;
}

export class TableColumns {
  readonly #names: readonly string[];
  readonly #decimal: DecimalMark | null;
  readonly #types: ColumnOptions["types"];
  readonly #pointMayGroup: boolean;
  readonly #missing: MissingCells;
  readonly #texts: TextRoom | null;
  /** Whether the kernels know the words for missing cells. */
  #areWordsSet = false;
  /**
   * One of these two holds the columns: the first version of the reader decided types differently.
   */
  readonly #first: readonly FirstColumn[];
  readonly #typed: readonly TypedColumn[];
  /** The indices of the columns that need their cells again. */
  #again: readonly number[] = [];

  constructor(
    names: readonly string[],
    { version, decimal, missingValues, types, pointMayGroup = false, texts = null }: ColumnOptions,
  ) {
    const missing = new MissingCells(missingValues);
    this.#missing = missing;
    this.#texts = texts;
    const isFirst = version === FIRST_READING.version;
    this.#names = names;
    this.#decimal = decimal;
    this.#types = types;
    this.#pointMayGroup = pointMayGroup;
    this.#first = isFirst ? names.map((name) => new FirstColumn(name)) : [];
    this.#typed = isFirst ? [] : names.map((name) => new TypedColumn(name, declaredFor(types, name), missing, texts));
  }

  /** Adds one row, and the line it starts on. Unquoted cells have lost the spaces around them. */
  add(cells: readonly string[], line: number): void {
    if (this.#first.length > 0) for (let i = 0; i < cells.length; i++) this.#first[i].add(cells[i]);
    else for (let i = 0; i < cells.length; i++) this.#typed[i].add(cells[i], line);
  }

  /**
   * Adds the rows of a batch, column by column. The room for texts is given in the order of the
   * rows, so they come row by row where it may end.
   */
  addBatch(batch: RowBatch): void {
    if (!this.#areWordsSet) setMissingWords(batch.kernels, this.#missing);
    this.#areWordsSet = true;
    const taken = this.#typed.map((column, i) => column.addCoded(batch, i));
    const open = this.#typed.filter((_, i) => taken[i] < batch.rows);
    const bytes = open.reduce((sum, column) => sum + column.codedBytes, batch.bytes);
    if (this.#texts === null || this.#texts.hasRoomFor(mostRoom(open.length * batch.rows, bytes)))
      for (const [i, column] of this.#typed.entries()) column.addFrom(taken[i], batch, i);
    else
      for (let row = 0; row < batch.rows; row++)
        for (const [i, column] of this.#typed.entries())
          if (taken[i] <= row) column.add(batch.cell(i, row), batch.line(row));
  }

  /**
   * Decides what the columns are; `again`: every row is needed once more.
   * @throws InvalidDataset if a cell is not of the type declared for its column
   */
  settle(): { readonly decimal: DecimalMark; readonly proved: boolean; readonly again: boolean } {
    const mark = { ...this.#mark(), pointMayGroup: this.#pointMayGroup };
    for (const [i, column] of this.#typed.entries()) {
      const fault = column.settle(mark);
      if (fault !== null) throw notAsDeclared(this.#names[i], this.#types[this.#names[i]], fault);
    }
    this.#again = [...this.#typed.keys()].filter((i) => this.#typed[i].needsAgain);
    return { decimal: mark.mark, proved: mark.proof !== null, again: this.#again.length > 0 };
  }

  addAgain(cells: readonly string[]): void {
    for (const i of this.#again) this.#typed[i].addAgain(cells[i]);
  }

  addBatchAgain(batch: RowBatch): void {
    if (this.#texts === null || this.#texts.hasRoomFor(mostRoom(this.#again.length * batch.rows, batch.bytes)))
      for (const i of this.#again) this.#typed[i].addBatchAgain(batch, i);
    else for (let row = 0; row < batch.rows; row++) this.addAgain(batch.row(row));
  }

  finish(): Column[] {
    if (this.#first.length > 0) return listShortest(this.#first.map((column) => column.finish()));
    const columns = this.#typed.map((column) => column.finish());
    return withTexts(
      columns,
      this.#typed.map(({ texts }) => texts),
      this.#texts,
    );
  }

  /** The decimal mark of the file, which all columns share. */
  #mark(): Mark {
    // If a cell proves the declared mark, messages name the cell, as they would without the
    // declaration.
    if (this.#decimal !== null) return { mark: this.#decimal, proof: this.#proof(this.#decimal) ?? "declared" };
    const point = this.#proof(".");
    const comma = point === null ? this.#proof(",") : null;
    return { mark: comma === null ? "." : ",", proof: point ?? comma };
  }

  #proof(mark: DecimalMark): Mark["proof"] {
    for (const [i, column] of this.#typed.entries()) {
      const proof = column.mayProve ? column.evidence.proof(mark) : null;
      if (proof !== null) return { ...proof, column: this.#names[i] };
    }
    return null;
  }
}

function notAsDeclared(name: string, declared: DeclaredType, { line, message }: Reason): InvalidDataset {
  return new InvalidDataset(`Column ${JSON.stringify(name)} is declared ${declared}: ${message}`, line);
}

/** A column called `constructor` must not find a declaration in the object's prototype. */
function declaredFor(types: ColumnOptions["types"], name: string): DeclaredType | null {
  return Object.hasOwn(types, name) ? types[name] : null;
}

/**
 * Leaves out the class lists of the columns with the most classes, if there are too many classes in
 * all, or if they are too long.
 */
function listShortest(columns: Column[]): Column[] {
  let listed = 0;
  let characters = 0;
  const kept = new Set<Column>();
  for (const column of columns.toSorted((a, b) => classCount(a) - classCount(b))) {
    listed += classCount(column);
    characters += (column.summary.classes ?? []).reduce((sum, name) => sum + name.length, 0);
    if (listed <= MAX_CLASSES_LISTED && characters <= MAX_CLASS_CHARACTERS_LISTED) kept.add(column);
  }
  return columns.map((column) => (kept.has(column) ? column : withoutClasses(column)));
}

/**
 * Leaves out the class lists that are too many, and adds the texts of the columns that list none.
 */
export function withTexts(columns: Column[], kept: readonly (KeptTexts | null)[], room: TextRoom | null): Column[] {
  return listShortest(columns).map((column, i) => {
    const texts = kept[i]?.finish() ?? (column === columns[i] ? null : textsLeftOut(columns[i], room));
    if (texts === null) return column;
    return { ...column, summary: { ...column.summary, text_bytes: texts.bytes }, texts };
  });
}

/** Those of a column whose classes are no longer listed, if there is room for them. */
function textsLeftOut({ summary, values }: Column, room: TextRoom | null): CodedTexts | null {
  const { type, classes } = summary;
  if (type !== "categorical" || classes === null || !(values instanceof Uint16Array)) return null;
  const texts = CodedTexts.ofClasses(values, classes);
  const { texts: count, bytes } = texts.dictionary;
  return room?.takeIfFree(mostRoom(count, bytes)) ? texts : null;
}

function classCount({ summary }: Column): number {
  return summary.classes?.length ?? 0;
}

function withoutClasses({ summary, values }: Column): Column {
  return { summary: { ...summary, classes: null }, values: holdsDoubles(summary) ? values : null };
}
