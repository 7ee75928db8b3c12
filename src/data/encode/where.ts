/**
 * Which rows of a table a job sees (`data.where` of the spec): those that have a value in each of
 * some columns. They are chosen before everything else. So whatever counts rows counts these, and
 * a job sees no others. The types of columns and their classes stay those of the whole table.
 */
import { booleanOf } from "../columns/cell-word.ts";
import { DateReader } from "../columns/cell-date.ts";
import { dateTexts } from "../columns/column.ts";
import { parseDecimal } from "../columns/cell-number.ts";
import { MAX_DICTIONARY_BYTES, MAX_DICTIONARY_TEXTS, type ColumnSummary } from "../dataset.ts";
import type { CodedTexts } from "../text/coded-texts.ts";
import type { DataSpec } from "./encoding.ts";
import { hasTexts, type TableSummary } from "./features.ts";

export type WhereValue = string | number | boolean;

interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** A table whose columns can be read (ViewedFile). */
export interface Table {
  readonly content: TableSummary;
  index(name: string): number;
  numbers(index: number): Promise<Float64Array>;
  codedTexts(index: number): Promise<CodedTexts>;
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
  const index = file.index(name);
  const wanted = wantedOf(file.content.columns[index], value);
  if ("fault" in wanted) throw new Error(`The dataset does not fit the spec: ${name}, ${wanted.fault}.`);
  if ("number" in wanted) {
    const numbers = await file.numbers(index);
    return (row) => numbers[row] === wanted.number;
  }
  const { codes, texts } = await file.codedTexts(index);
  const code = texts.indexOf(Buffer.from(wanted.text));
  return (row) => codes[row] === code;
}

/** Why no value of a column chooses rows, after its name; null if values do. */
export function noValueFault(column: ColumnSummary): string | null {
  if (column.type === "tensor" || column.type === "text")
    return "which has an array or a text in each row, and no single value";
  return column.type !== "categorical" || hasTexts(column)
    ? null
    : `whose texts are not kept: they are too many (more than ${MAX_DICTIONARY_TEXTS} different ones or ${MAX_DICTIONARY_BYTES} bytes), or an earlier version kept none: then upload the file again`;
}

function wantedOf(column: ColumnSummary, value: WhereValue): Wanted {
  const fault = noValueFault(column);
  if (fault !== null) return { fault };
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
    default:
      return classWanted(column, text);
  }
}

function classWanted(column: ColumnSummary, text: string): Wanted {
  if (text === "") return { fault: "and an empty text is a missing value, which chooses no rows" };
  return column.classes === null || column.classes.includes(text)
    ? { text }
    : { fault: `which is ${JSON.stringify(text)} in no row` };
}

/** As ISO 8601 writes years that have more than four digits, or come before the first. */
const FAR_YEAR = /^(?:[+-]\d{6}|0000)-\d\d-\d\d(?:T\d\d:\d\d:\d\d\.\d{3}Z)?$/;

/** Milliseconds since 1970 of a date that begins with the year, else NaN. */
function momentOf(text: string): number {
  if (FAR_YEAR.test(text)) return Date.parse(text);
  const reader = new DateReader();
  return reader.read(text) && !reader.hasOrder ? reader.dayFirst : Number.NaN;
}

/** A text that `momentOf` reads as this moment. */
export function momentText(time: number): string {
  const whole = Math.floor(time);
  if (whole === time) return dateTexts(time).at(-1)!;
  const [, fraction] = (time - whole).toFixed(MOMENT_DIGITS).replace(/0+$/, "").split(".");
  return new Date(whole).toISOString().replace("Z", fraction);
}

/** Cells of dates are no longer. */
const MOMENT_DIGITS = 17;
