/**
 * Tables that come within a spec instead of a file: as rows, or as a formula. Both are written to a
 * CSV file, as if the user had uploaded it, and are then datasets like any other.
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
 * How such a table is written and must be read. The decimal mark is not declared, because texts
 * may contain other marks. Numbers are written with a point, which the reader detects.
 */
export const SOURCE_READING: ReadingOptions = {
  ...ALL_DETECTED,
  separator: ",",
  encoding: "utf-8",
  header: true,
};

/** Largest size of the rows as JSON. */
export const MAX_INLINE_BYTES = 2 ** 20;
/** The check stops after this many faults. */
const MAX_FAULTS = 100;
/** How many rows are written at once. */
const BATCH = 1000;

/** The faults of inline rows. Each row is checked separately. */
export function checkInline({ columns, rows }: Inline): DataFault[] {
  if (rows.length === 0) return [{ pointer: "/data/inline/rows", message: "must have at least 1 row" }];
  const faults: DataFault[] = [];
  for (let i = 0; i < rows.length && faults.length < MAX_FAULTS; i++) {
    for (const { at, message } of rowFaults(rows[i], columns.length).slice(0, MAX_FAULTS - faults.length)) {
      faults.push({ pointer: `/data/inline/rows/${i}${at}`, message });
    }
  }
  // Only rows without faults can be measured. Others may be nested deeper than the stack allows.
  if (faults.length > 0 || Buffer.byteLength(JSON.stringify({ columns, rows })) <= MAX_INLINE_BYTES) return faults;
  return [
    { pointer: "/data/inline", message: `may take ${MAX_INLINE_BYTES} bytes; upload a larger table as a dataset` },
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

/** Writes the table of a `Source`, which is JSON, as a new CSV file. Runs in a helper thread. */
export async function writeSource({ source: json, csv }: { source: string; csv: string }): Promise<void> {
  const source = JSON.parse(json) as Source;
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

/** A line of a CSV. */
export function line(cells: readonly Cell[]): string {
  const texts = cells.map(text);
  // A row with a quoted cell does not count as blank, so it is not left out.
  return `${texts.every((cell) => cell === "") ? ['""', ...texts.slice(1)].join(",") : texts.join(",")}\n`;
}

/**
 * The shortest decimal of a number, which reads back as the same double. Text is quoted if it would
 * otherwise be read differently.
 */
function text(cell: Cell): string {
  if (cell === null) return "";
  const plain = String(cell);
  return /[",\r\n]|^\s|\s$/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
