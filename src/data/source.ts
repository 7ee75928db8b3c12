/**
 * Tables that come with a spec instead of a file: rows written into it, or made up by a formula.
 * Either is written as the CSV file that its user might have uploaded, and from there on is a
 * dataset like any other.
 */
import { writeFile } from "node:fs/promises";
import type { DataFault } from "./encode/check.ts";
import { ALL_DETECTED, type ReadingOptions } from "./reading.ts";
import { syntheticTable, type Synthetic } from "./synthetic.ts";

export type Cell = number | string | null;

export interface Inline {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export type Source = { readonly inline: Inline } | { readonly synthetic: Synthetic };

/**
 * How such a table is written, and so has to be read. Numbers are written with a point, and prove
 * it; texts may hold others.
 */
export const SOURCE_READING: ReadingOptions = {
  ...ALL_DETECTED,
  separator: ",",
  encoding: "utf-8",
  header: true,
};

/** Of its JSON. */
export const MAX_INLINE_BYTES = 2 ** 20;
/** How many faults are looked for. */
const MAX_FAULTS = 100;
/** Rows that are written at once. */
const BATCH = 1000;

/** What is wrong with inline rows, each in itself. */
export function checkInline({ columns, rows }: Inline): DataFault[] {
  if (rows.length === 0) return [{ pointer: "/data/inline/rows", message: "must have at least 1 row" }];
  const faults: DataFault[] = [];
  for (let i = 0; i < rows.length && faults.length < MAX_FAULTS; i++) {
    for (const { at, message } of rowFaults(rows[i], columns.length).slice(0, MAX_FAULTS - faults.length)) {
      faults.push({ pointer: `/data/inline/rows/${i}${at}`, message });
    }
  }
  // Only of sound rows can one ask how large they are: others may be nested deeper than the stack.
  if (faults.length > 0 || Buffer.byteLength(JSON.stringify({ columns, rows })) <= MAX_INLINE_BYTES) return faults;
  return [
    { pointer: "/data/inline", message: `may take ${MAX_INLINE_BYTES} bytes; upload what is larger as a dataset` },
  ];
}

function rowFaults(row: unknown, width: number): { at: string; message: string }[] {
  if (!Array.isArray(row)) return [{ at: "", message: "must be an array of cells" }];
  if (row.length !== width) {
    return [{ at: "", message: `has ${counted(row.length, "cell")}, but there are ${counted(width, "column")}` }];
  }
  const wrong: { at: string; message: string }[] = [];
  for (let i = 0; i < row.length && wrong.length < MAX_FAULTS; i++) {
    if (isCell(row[i])) continue;
    wrong.push({ at: `/${i}`, message: "must be a finite number, a string, or null for an empty cell" });
  }
  return wrong;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function isCell(value: unknown): value is Cell {
  return value === null || typeof value === "string" || Number.isFinite(value);
}

/** Writes the table as a new CSV file. Runs in a helper thread. */
export async function writeSource({ source, csv }: { source: Source; csv: string }): Promise<void> {
  const { columns, rows } = "inline" in source ? source.inline : syntheticTable(source.synthetic);
  await writeFile(csv, lines(columns, rows), { flag: "wx", flush: true });
}

function* lines(columns: readonly string[], rows: Inline["rows"]): Generator<string> {
  yield line(columns);
  for (let i = 0; i < rows.length; i += BATCH)
    yield rows
      .slice(i, i + BATCH)
      .map(line)
      .join("");
}

function line(cells: readonly Cell[]): string {
  const texts = cells.map(text);
  // A row is not blank, and so left out, if something of it is quoted.
  return `${texts.every((cell) => cell === "") ? ['""', ...texts.slice(1)].join(",") : texts.join(",")}\n`;
}

/**
 * A number's shortest decimal, which reads back as the same double; text in quotes where it would
 * be read otherwise without.
 */
function text(cell: Cell): string {
  if (cell === null) return "";
  const plain = String(cell);
  return /[",\r\n]|^\s|\s$/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
