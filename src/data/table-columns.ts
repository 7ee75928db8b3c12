/**
 * From the rows of a table to its typed columns.
 *
 * Rows are added as they are read; after the last one `settle` decides the decimal mark and each
 * column's type. A column may then need its cells a second time: the rows are read again, and given
 * to `addAgain`. So a file is parsed twice only if one of its columns asks for it.
 */
import { ColumnBuilder, type Column } from "./column.ts";
import { MAX_CLASS_CHARACTERS_LISTED, MAX_CLASSES_LISTED } from "./dataset.ts";
import type { DecimalMark, DeclaredType } from "./reading.ts";

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
  readonly #columns: ColumnBuilder[];

  constructor(names: readonly string[], _options: ColumnOptions) {
    this.#names = names;
    this.#columns = names.map(() => new ColumnBuilder());
  }

  /**
   * One row, and the line it starts on. Unquoted cells have no spaces around them any more.
   * @throws InvalidDataset if a cell is not of the type declared for its column; `settle` does so too
   */
  add(cells: readonly string[], _line: number): void {
    for (let i = 0; i < cells.length; i++) this.#columns[i].add(cells[i]);
  }

  /** `again`: every row is needed once more. */
  settle(): { readonly decimal: DecimalMark; readonly proved: boolean; readonly again: boolean } {
    return { decimal: ".", proved: false, again: false };
  }

  addAgain(_cells: readonly string[]): void {
    throw new Error("No column needs its cells again.");
  }

  finish(): Column[] {
    return listFewest(this.#columns.map((column, i) => column.finish(this.#names[i])));
  }
}

/** Leaves out the classes of the columns with the most, once they are too many or too long in all. */
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
  return { summary: { ...summary, classes: null }, values: summary.type === "numeric" ? values : null };
}
