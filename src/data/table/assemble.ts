/*
 * Turns split rows into the rows of a table. The first row names the columns. All rows have the
 * same number of cells. Blank rows are left out.
 *
 * A line without any cell is left out wherever it stands, unless the table has one column: then it
 * is a missing value. Empty rows at the end are always left out, whether they are lines without a
 * cell or, as spreadsheets write them, lines of separators.
 *
 * Version 1 of the reader left nothing out.
 */
import { InvalidDataset, MAX_CELL_LENGTH } from "../dataset.ts";
import { separators, type Reading, type Separator } from "../reading.ts";
import { numberedNames } from "./header.ts";
import type { RowBatch } from "./row-batch.ts";

export const separatorNames: Record<Separator, string> = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe" };

export interface Sink {
  /** Called with the names of the columns: those of the first row, or numbered ones. */
  begin(names: string[], line: number): void;
  row(cells: readonly string[], line: number): void;
}

/** Takes plain rows too, many at once. */
export interface BatchSink extends Sink {
  rows(batch: RowBatch): void;
}

export class Assembler {
  readonly #reading: Pick<Reading, "version" | "header" | "separator">;
  readonly #sink: Sink;
  #names: readonly string[] | null = null;
  #headerLine = 1;
  #rows = 0;
  /**
   * Empty rows that may be the last ones: how many there are, the line of the first, and the first
   * of them with another number of cells.
   */
  #empty = { rows: 0, line: 0, ragged: null as { cells: string[]; line: number } | null };

  constructor(reading: Pick<Reading, "version" | "header" | "separator">, sink: Sink) {
    this.#reading = reading;
    this.#sink = sink;
  }

  add(cells: string[], line: number, blank: boolean): void {
    const leavesOut = blank && this.#reading.version > 1;
    if (this.#names === null) {
      if (leavesOut) return;
      this.#names = this.#reading.header ? cells : numberedNames(cells.length);
      this.#headerLine = line;
      this.#sink.begin([...this.#names], line);
      if (this.#reading.header) return;
    }
    if (leavesOut) this.#postpone(this.#names, cells, line);
    else this.#row(this.#names, cells, line);
  }

  /**
   * How many cells a plain row has. Null where each row must be given to `add`: as long as there
   * are no names, or rows wait that may be the last ones.
   */
  get plainColumns(): number | null {
    const { rows, ragged } = this.#empty;
    const isPlain = this.#names !== null && this.#reading.version > 1 && rows === 0 && ragged === null;
    return isPlain ? this.#names!.length : null;
  }

  /** Counts plain rows, which go to the sink directly. */
  countPlain(rows: number): void {
    this.#rows += rows;
  }

  end(): void {
    const { header } = this.#reading;
    if (this.#names === null)
      throw new InvalidDataset(`The file is empty${header ? "; its first line must name the columns" : ""}.`, 1);
    if (this.#rows === 0) throw new InvalidDataset("The file has a header but no rows.", this.#headerLine);
  }

  #postpone(names: readonly string[], cells: string[], line: number): void {
    if (cells.length === 1 && names.length > 1) return;
    if (this.#empty.rows === 0) this.#empty.line = line;
    if (cells.length === names.length) this.#empty.rows++;
    else this.#empty.ragged ??= { cells, line };
  }

  #row(names: readonly string[], cells: readonly string[], line: number): void {
    const { rows, line: emptyLine, ragged } = this.#empty;
    if (ragged !== null) throw this.#raggedRow(names, ragged.cells, ragged.line);
    if (rows > 0) {
      this.#empty.rows = 0;
      const empty = names.map(() => "");
      for (let i = 0; i < rows; i++) this.#take(empty, emptyLine);
    }
    if (cells.length !== names.length) throw this.#raggedRow(names, cells, line);
    this.#take(cells, line);
  }

  #take(cells: readonly string[], line: number): void {
    for (let i = 0; i < cells.length; i++) {
      if (cells[i].length > MAX_CELL_LENGTH) {
        throw new InvalidDataset(`Cell ${i + 1} of this row has more than ${MAX_CELL_LENGTH} characters.`, line);
      }
    }
    this.#rows++;
    this.#sink.row(cells, line);
  }

  #raggedRow(names: readonly string[], cells: readonly string[], line: number): InvalidDataset {
    const has = `This row has ${counted(cells.length, "cell")}, but ${this.#expected(names.length)}.`;
    return new InvalidDataset(`${has} ${this.#remedy(names, cells)}`, line);
  }

  #aboutTitle(names: readonly string[]): string {
    if (names.length > 1) return "";
    const line = `If line ${this.#headerLine} is`;
    return names[0].startsWith("#")
      ? ` ${line} a comment, say ?comment=%23.`
      : ` ${line} a title and no header, remove it.`;
  }

  #expected(columns: number): string {
    if (this.#reading.header) return `the header names ${counted(columns, "column")}`;
    return `the first row has ${counted(columns, "cell")}`;
  }

  #remedy(names: readonly string[], cells: readonly string[]): string {
    const { separator } = this.#reading;
    const under = (row: readonly string[], other: Separator) => row.join(separator).split(other).length;
    const fits = (other: Separator) => under(names, other) > 1 && under(names, other) === under(cells, other);
    const better = separators.find((other) => other !== separator && fits(other));
    const name = separatorNames[separator];
    if (better !== undefined) {
      const both = `both have ${under(names, better)}`;
      return `Separated by a ${separatorNames[better]} ${both}: say ?separator=${separatorNames[better]} if that is meant.`;
    }
    if (cells.length < names.length) {
      const remark = cells.length === 1 ? " If the line is a remark, remove it." : "";
      return `Write a ${name} for each cell that is empty.${remark}`;
    }
    const quotes = `Put quotes (") around a cell that holds a ${name}`;
    if (cells.length > names.length + 1 || !this.#reading.header) return `${quotes}.${this.#aboutTitle(names)}`;
    const first = cells.at(-1) === "" ? `Remove the ${name} that ends the row` : quotes;
    return `${first}, or name one more column in line ${this.#headerLine}.${this.#aboutTitle(names)}`;
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
