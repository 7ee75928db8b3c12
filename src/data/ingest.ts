/** From the bytes of a CSV file to its typed columns. Runs in a helper thread. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeColumnFile } from "./column-file.ts";
import { ColumnBuilder, parseDecimal, type Column } from "./column.ts";
import { readCsv, tooManyCells } from "./csv.ts";
import {
  InvalidDataset,
  MAX_CLASS_CHARACTERS_LISTED,
  MAX_CLASSES_LISTED,
  MAX_COLUMNS,
  MAX_NAME_CHARACTERS,
  type DatasetContent,
} from "./dataset.ts";
import { FIRST_READING } from "./reading.ts";

const MAX_NAME_LENGTH = 256;
const MAX_CELL_LENGTH = 65_536;

export interface IngestInput {
  /** The file to read, and the file of columns to write. */
  readonly csv: string;
  readonly columns: string;
}

/** A refusal is a value here, since an error would lose its class on the way between threads. */
export type IngestResult =
  | { readonly content: DatasetContent }
  | { readonly refused: { message: string; line: number } };

export async function ingest({ csv, columns: columnsPath }: IngestInput): Promise<IngestResult> {
  const hash = createHash("sha256");
  let bytes = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(csv, { highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const table = new TableBuilder();
  try {
    await readCsv(chunks(), (cells, line) => table.add(cells, line));
    const { rows, columns } = table.finish();
    const reading = FIRST_READING;
    const content = {
      sha256: hash.digest("hex"),
      bytes,
      reading,
      rows,
      columns: columns.map(({ summary }) => summary),
    };
    await writeColumnFile(columnsPath, content, columns);
    return { content };
  } catch (error) {
    if (error instanceof InvalidDataset) return { refused: { message: error.message, line: error.line } };
    throw error;
  }
}

class TableBuilder {
  #names: string[] | null = null;
  #columns: ColumnBuilder[] = [];
  #rows = 0;

  add(cells: string[], line: number): void {
    if (this.#names === null) {
      checkHeader(cells);
      this.#names = cells;
      this.#columns = cells.map(() => new ColumnBuilder());
      return;
    }
    if (cells.length !== this.#columns.length) throw raggedRow(cells, this.#columns.length, line);
    for (let i = 0; i < cells.length; i++) {
      if (cells[i].length > MAX_CELL_LENGTH) {
        throw new InvalidDataset(`Cell ${i + 1} of this row has more than ${MAX_CELL_LENGTH} characters.`, line);
      }
      this.#columns[i].add(cells[i]);
    }
    this.#rows++;
  }

  finish(): { rows: number; columns: Column[] } {
    const names = this.#names;
    if (names === null) throw new InvalidDataset("The file is empty; its first line must name the columns.", 1);
    if (this.#rows === 0) throw new InvalidDataset("The file has a header but no rows.", 1);
    return { rows: this.#rows, columns: listFewest(this.#columns.map((column, i) => column.finish(names[i]))) };
  }
}

function checkHeader(names: readonly string[]): void {
  if (names.length > MAX_COLUMNS) throw tooManyCells(1);
  if (names.reduce((sum, name) => sum + name.length, 0) > MAX_NAME_CHARACTERS)
    throw headerFault(
      `The names of all columns have more than ${MAX_NAME_CHARACTERS} characters together: shorten them.`,
    );
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    if (name === "") throw headerFault(`Column ${i + 1} has no name.`);
    if (name.length > MAX_NAME_LENGTH)
      throw headerFault(`The name of column ${i + 1} has more than ${MAX_NAME_LENGTH} characters.`);
    if (seen.has(name)) throw headerFault(`Two columns are named ${JSON.stringify(name)}.`);
    seen.add(name);
  }
  if (!names.some((name) => Number.isNaN(parseDecimal(name)))) {
    throw headerFault("The first line holds only numbers; it must name the columns.");
  }
}

function headerFault(message: string): InvalidDataset {
  return new InvalidDataset(message, 1);
}

function raggedRow(cells: readonly string[], columns: number, line: number): InvalidDataset {
  if (cells.length === 1 && cells[0] === "") return new InvalidDataset("This line is empty.", line);
  const count = `${cells.length} ${cells.length === 1 ? "cell" : "cells"}`;
  return new InvalidDataset(`This row has ${count}, but the header names ${columns} columns.`, line);
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
  return { summary: { ...summary, classes: null }, values: summary.type === "numeric" ? values : null };
}
