/*
 * Datasets side by side: a table whose columns are those of several datasets. Row n of the table is
 * row n of each of them. Nothing is copied: each keeps its file of columns (files/beside-files.ts),
 * and what reads a table reads columns by their name and does not know which file they are in.
 *
 * A name that several datasets have becomes `<dataset name>.<column>` for each of them, so that no
 * name depends on the order of the list.
 */
import { isDeepStrictEqual } from "node:util";
import { MAX_COLUMNS, type ColumnSummary, type DatasetContent } from "./dataset.ts";
import type { Reading } from "./reading.ts";

/** How many datasets may stand side by side. */
export const MAX_BESIDE = 8;

/** What is known of a dataset without its rows. */
export type DatasetSummary = Pick<DatasetContent, "rows" | "columns" | "reading">;

export interface NamedSummary extends DatasetSummary {
  readonly name: string | null;
}

/** Where the columns of a table are: in a file, or in those of several datasets side by side. */
export type TablePath = string | readonly TablePart[];

export interface TablePart {
  /** That of the dataset. */
  readonly name: string | null;
  /** That of its file of columns. */
  readonly path: string;
}

/** What keeps a dataset from standing beside those before it. */
export interface BesideFault {
  /** The number of the dataset in the list, from 0; null: it is the list as a whole. */
  readonly at: number | null;
  readonly message: string;
}

/**
 * Calls `read` with the table that the datasets make. @param use keeps the file of one dataset
 * while it is read
 */
export async function withTable<D extends { readonly name: string | null }, T>(
  datasets: readonly D[],
  use: (dataset: D, read: (path: string) => Promise<T>) => Promise<T>,
  read: (table: TablePath) => Promise<T>,
  parts: readonly TablePart[] = [],
): Promise<T> {
  if (parts.length === datasets.length) return await read(parts.length === 1 ? parts[0].path : parts);
  const dataset = datasets[parts.length];
  return await use(dataset, (path) => withTable(datasets, use, read, [...parts, { name: dataset.name, path }]));
}

/** The faults of datasets that do not fit side by side. */
export function besideFaults(datasets: readonly NamedSummary[]): BesideFault[] {
  const [{ rows }] = datasets;
  const faults = datasets.flatMap((dataset, at): BesideFault[] => {
    if (dataset.columns.some(({ type }) => type === "text"))
      return [{ at, message: "names a text, which cannot stand beside other datasets: name it alone" }];
    if (dataset.rows === rows) return [];
    const has = `names a dataset of ${dataset.rows} rows, and the first one has ${rows}`;
    return [{ at, message: `${has}: datasets side by side have as many rows each` }];
  });
  const columns = datasets.reduce((sum, dataset) => sum + dataset.columns.length, 0);
  if (columns <= MAX_COLUMNS) return [...faults, ...nameFaults(datasets), ...readingFaults(datasets)];
  return [...faults, { at: null, message: `has ${columns} columns in all, and may have ${MAX_COLUMNS}` }];
}

/** The first name of each dataset that one before it has too. */
function nameFaults(datasets: readonly NamedSummary[]): BesideFault[] {
  const owners = new Map<string, number>();
  return besideNames(datasets).flatMap((names, at): BesideFault[] => {
    const taken = names.find((name) => owners.has(name));
    for (const name of names) if (!owners.has(name)) owners.set(name, at);
    if (taken === undefined) return [];
    const has = `has the column ${JSON.stringify(taken)}, and so has dataset ${owners.get(taken)} of the list`;
    const message = `${has}: delete one of them and upload it again under another name (?name=)`;
    return [{ at, message }];
  });
}

/**
 * Predictions read all cells in one way. So tables must agree on what is a decimal mark, unless no
 * cell of one tells, and on what is missing.
 */
function readingFaults(datasets: readonly NamedSummary[]): BesideFault[] {
  const readings = datasets.flatMap(({ reading }) => reading ?? []);
  const marks = new Set(datasets.filter(tellsMark).map(({ reading }) => reading!.decimal));
  const faults: BesideFault[] = [];
  if (marks.size > 1)
    faults.push({ at: null, message: "names tables with different decimal marks: write them with the same one" });
  if (readings.some(({ missing_values: tokens }) => !isDeepStrictEqual(tokens, readings[0].missing_values)))
    faults.push({
      at: null,
      message:
        "names tables that were read with different missing_values: upload them with the same (?missing_values=)",
    });
  return faults;
}

/** Whether the cells of a table would be other numbers, or none, under another decimal mark. */
function tellsMark({ reading, columns }: DatasetSummary): boolean {
  return reading !== null && (reading.decimal_proved || columns.some(hasFractions));
}

/** No fraction proves the mark where points could group thousands too, as in 1.234. */
function hasFractions({ type, classes, min, max }: ColumnSummary): boolean {
  return type === "numeric" && (classes ?? [min, max]).some((value) => !Number.isInteger(Number(value)));
}

/** The datasets as one table. They fit side by side. */
export function sideBySide(datasets: readonly NamedSummary[]): DatasetSummary {
  const names = besideNames(datasets);
  const columns = datasets.flatMap((dataset, at) =>
    dataset.columns.map((column, i): ColumnSummary => ({ ...column, name: names[at][i] })),
  );
  return { rows: datasets[0].rows, columns, reading: readingOf(datasets, names) };
}

/** Null if none of them is a CSV table. */
function readingOf(datasets: readonly NamedSummary[], names: readonly (readonly string[])[]): Reading | null {
  const readings = datasets.flatMap(({ reading }) => reading ?? []);
  if (readings.length === 0) return null;
  const declared = datasets.flatMap(({ columns, reading }, at) =>
    columns.flatMap(({ name }, i) =>
      reading !== null && Object.hasOwn(reading.columns, name) ? [[names[at][i], reading.columns[name]]] : [],
    ),
  );
  const first = readings.find(({ decimal_proved: proved }) => proved) ?? readings[0];
  return { ...first, header: true, columns: Object.fromEntries(declared) };
}

/** The names that the columns of each dataset have in the table. */
function besideNames(datasets: readonly NamedSummary[]): string[][] {
  const counts = new Map<string, number>();
  for (const { columns } of datasets) for (const { name } of columns) counts.set(name, (counts.get(name) ?? 0) + 1);
  return datasets.map(({ name: dataset, columns }) =>
    columns.map(({ name }) => (dataset === null || counts.get(name) === 1 ? name : `${dataset}.${name}`)),
  );
}
