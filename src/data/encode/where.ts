/**
 * Which rows of a table a job sees (`data.where` of the spec): those that have a value in each of
 * some columns. They are chosen before everything else. So whatever counts rows counts these, and
 * a job sees no others. The types of columns and their classes stay those of the whole table.
 */
import { booleanOf } from "../columns/cell-word.ts";
import { DateReader } from "../columns/cell-date.ts";
import { parseDecimal } from "../columns/cell-number.ts";
import { MAX_CLASSES, type ColumnSummary } from "../dataset.ts";
import type { DataSpec } from "./encoding.ts";
import { hasTexts, type TableSummary } from "./features.ts";
import type { RowTexts } from "../text/texts.ts";

export type WhereValue = string | number | boolean;

interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** A table whose columns can be read (ViewedFile). */
interface Table {
  readonly content: TableSummary;
  index(name: string): number;
  numbers(index: number): Promise<Float64Array>;
  codes(index: number): Promise<Uint16Array>;
  texts(name: string): Promise<RowTexts>;
}

/** The pointer to a member that has the name of a column. */
export function memberPointer(parent: string, name: string): string {
  return `${parent}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** What a column must hold in the rows that are chosen: a number, or a text. */
type Wanted = { readonly number: number } | { readonly text: string } | { readonly fault: string };

/**
 * The table for checks before its file is read. If a job sees only some of its rows, nobody knows
 * yet which cells are missing in them.
 */
export function beforeChoice(table: TableSummary, { where }: DataSpec): TableSummary {
  if (where === null || where === undefined) return table;
  return { ...table, columns: table.columns.map((column) => ({ ...column, missing: 0 })) };
}

/** @param known what to say of the columns that there are */
export function whereFaults({ columns }: TableSummary, { where }: DataSpec, known: string): Fault[] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  return Object.entries(where ?? {}).flatMap(([name, value]) => {
    const column = byName.get(name);
    const wanted = column === undefined ? { fault: `and the dataset has only ${known}` } : wantedOf(column, value);
    if (!("fault" in wanted)) return [];
    return [{ pointer: memberPointer("/data/where", name), message: `names ${JSON.stringify(name)}, ${wanted.fault}` }];
  });
}

/** The numbers of the rows that have all values, ascending; null: `where` chooses none. */
export async function rowsWhere(file: Table, { where }: Pick<DataSpec, "where">): Promise<Int32Array | null> {
  if (where === null || where === undefined) return null;
  let rows = Int32Array.from({ length: file.content.rows }, (_, row) => row);
  for (const [name, value] of Object.entries(where)) {
    const has = await testOf(file, name, value);
    rows = rows.filter(has);
  }
  return rows;
}

async function testOf(file: Table, name: string, value: WhereValue): Promise<(row: number) => boolean> {
  const column = file.content.columns[file.index(name)];
  const wanted = wantedOf(column, value);
  if ("fault" in wanted) throw new Error(`The dataset does not fit the spec: ${name}, ${wanted.fault}.`);
  if ("number" in wanted) {
    const numbers = await file.numbers(file.index(name));
    return (row) => numbers[row] === wanted.number;
  }
  if (column.classes !== null) {
    const code = column.classes.indexOf(wanted.text);
    const codes = await file.codes(file.index(name));
    return (row) => codes[row] === code;
  }
  const texts = await file.texts(name);
  const text = Buffer.from(wanted.text);
  return (row) => text.equals(texts.at(row));
}

function wantedOf(column: ColumnSummary, value: WhereValue): Wanted {
  const text = String(value);
  switch (column.type) {
    case "numeric": {
      const number = typeof value === "number" ? value : parseDecimal(text);
      return Number.isNaN(number) || typeof value === "boolean"
        ? { fault: `which holds numbers, and ${JSON.stringify(value)} is none` }
        : { number };
    }
    case "boolean": {
      const truth = booleanOf(text);
      return truth === null
        ? { fault: `which holds true and false, and ${JSON.stringify(value)} is neither` }
        : { number: Number(truth.value) };
    }
    case "date": {
      const number = momentOf(text);
      return Number.isNaN(number)
        ? { fault: `which holds dates, and ${JSON.stringify(value)} is none: write it as 2026-01-31` }
        : { number };
    }
    case "categorical":
      return classWanted(column, text);
    default:
      return { fault: "which has an array or a text in each row, and no single value" };
  }
}

function classWanted(column: ColumnSummary, text: string): Wanted {
  if (text === "") return { fault: "and an empty text is a missing value, which chooses no rows" };
  if (column.classes === null)
    return hasTexts(column)
      ? { text }
      : { fault: `whose texts are not kept: it has more than ${MAX_CLASSES} different ones` };
  return column.classes.includes(text) ? { text } : { fault: `which is ${JSON.stringify(text)} in no row` };
}

/** Milliseconds since 1970 of a date that begins with the year, else NaN. */
function momentOf(text: string): number {
  const reader = new DateReader();
  return reader.read(text) && !reader.hasOrder ? reader.dayFirst : Number.NaN;
}
