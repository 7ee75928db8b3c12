/**
 * From the rows of a table to its typed columns.
 *
 * Rows are added as they are read; after the last one `settle` decides the decimal mark and each
 * column's type. A column may then need its cells a second time: the rows are read again, and given
 * to `addAgain`. So a file is parsed twice only if one of its columns asks for it.
 */
import { MissingCells } from "./cell-word.ts";
import { holdsDoubles, type Column } from "./column.ts";
import { InvalidDataset, MAX_CLASS_CHARACTERS_LISTED, MAX_CLASSES_LISTED, type Reason } from "../dataset.ts";
import { FirstColumn } from "./first-column.ts";
import { FIRST_READING, type DecimalMark, type DeclaredType } from "../reading.ts";
import { TypedColumn } from "./typed-column.ts";
import type { Mark } from "./verdict.ts";

export interface ColumnOptions {
  /** That of the reading. */
  readonly version: number;
  /** Null: to be found out. A mark that is given counts as proved. */
  readonly decimal: DecimalMark | null;
  /** Null: the tokens of the default. */
  readonly missingValues: readonly string[] | null;
  /** By column; each name is one of the table's. */
  readonly types: Readonly<Record<string, DeclaredType>>;
}

export class TableColumns {
  readonly #names: readonly string[];
  readonly #decimal: DecimalMark | null;
  readonly #types: ColumnOptions["types"];
  /**
   * One of the two has the columns: those of the first version of the reader are decided otherwise.
   */
  readonly #first: readonly FirstColumn[];
  readonly #typed: readonly TypedColumn[];
  /** Those that need their cells again. */
  #again: readonly number[] = [];

  constructor(names: readonly string[], { version, decimal, missingValues, types }: ColumnOptions) {
    const missing = new MissingCells(missingValues);
    const isFirst = version === FIRST_READING.version;
    this.#names = names;
    this.#decimal = decimal;
    this.#types = types;
    this.#first = isFirst ? names.map((name) => new FirstColumn(name)) : [];
    this.#typed = isFirst ? [] : names.map((name) => new TypedColumn(name, declaredFor(types, name), missing));
  }

  /** One row, and the line it starts on. Unquoted cells have no spaces around them any more. */
  add(cells: readonly string[], line: number): void {
    if (this.#first.length > 0) for (let i = 0; i < cells.length; i++) this.#first[i].add(cells[i]);
    else for (let i = 0; i < cells.length; i++) this.#typed[i].add(cells[i], line);
  }

  /**
   * Decides what the columns are; `again`: every row is needed once more.
   * @throws InvalidDataset if a cell is not of the type declared for its column
   */
  settle(): { readonly decimal: DecimalMark; readonly proved: boolean; readonly again: boolean } {
    const mark = this.#mark();
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

  finish(): Column[] {
    return listFewest([...this.#first, ...this.#typed].map((column) => column.finish()));
  }

  /** The decimal mark of the file: what its cells show is the same in all columns. */
  #mark(): Mark {
    // A cell that shows it is told rather than the declaration, as it would be without one.
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

/** A name like `constructor` is no declaration. */
function declaredFor(types: ColumnOptions["types"], name: string): DeclaredType | null {
  return Object.hasOwn(types, name) ? types[name] : null;
}

/**
 * Leaves out the classes of the columns with the most, once they are too many or too long in all.
 */
function listFewest(columns: Column[]): Column[] {
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

function classCount({ summary }: Column): number {
  return summary.classes?.length ?? 0;
}

function withoutClasses({ summary, values }: Column): Column {
  return { summary: { ...summary, classes: null }, values: holdsDoubles(summary) ? values : null };
}
