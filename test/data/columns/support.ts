/** Columns of cells, read as those of a table. */
import { expect } from "vitest";
import type { ColumnSummary } from "../../../src/data/dataset.ts";
import { TableColumns, type ColumnOptions } from "../../../src/data/columns/table-columns.ts";

export type Cells = readonly string[];

/**
 * Reads columns of cells as a file whose header is line 1. A short column goes on with empty cells.
 */
export function read(table: Readonly<Record<string, Cells>>, options: Partial<ColumnOptions> = {}) {
  const names = Object.keys(table);
  const columns = new TableColumns(names, { version: 2, decimal: null, missingValues: null, types: {}, ...options });
  const rows = Math.max(...names.map((name) => table[name].length));
  const row = (at: number) => names.map((name) => table[name][at] ?? "");
  for (let i = 0; i < rows; i++) columns.add(row(i), i + 2);
  const { decimal, again } = columns.settle();
  if (again) for (let i = 0; i < rows; i++) columns.addAgain(row(i));
  const found: Record<string, ColumnSummary & { values: number[] | null }> = {};
  for (const { summary, values } of columns.finish())
    found[summary.name] = { ...summary, values: values && Array.from(values) };
  return { decimal, again, columns: found };
}

export const column = (cells: Cells, options?: Partial<ColumnOptions>) => read({ c: cells }, options).columns.c;
export const many = (count: number, cell: (i: number) => string) => Array.from({ length: count }, (_, i) => cell(i));
export const day = (date: string) => Date.parse(`${date}T00:00:00Z`);
export const declared = (type: ColumnOptions["types"][string]) => ({ types: { c: type } });

/** What does not fit before a type is known makes it categorical, with a reason about this cell. */
export function expectText(cells: Cells, cell: string | null, message = "") {
  const found = column(cells);
  expect(found.type).toBe("categorical");
  if (cell === null) expect(found.reason).toBeNull();
  else {
    expect(found.reason).toMatchObject({ line: cells.indexOf(cell) + 2, cell });
    expect(found.reason?.message).toContain(message);
  }
}
