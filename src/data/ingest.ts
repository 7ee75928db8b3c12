/** From the bytes of a CSV file to its typed columns. Runs in a helper thread. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeColumnFile } from "./column-file.ts";
import { parseDecimal } from "./cell-number.ts";
import type { Column } from "./column.ts";
import { readCsv, tooManyCells } from "./csv.ts";
import { InvalidDataset, MAX_COLUMNS, MAX_NAME_CHARACTERS, type ReadContent } from "./dataset.ts";
import { FIRST_READING, type Reading } from "./reading.ts";
import { TableColumns } from "./table-columns.ts";

const MAX_NAME_LENGTH = 256;
const MAX_CELL_LENGTH = 65_536;

export interface IngestInput {
  /** The file to read, and the file of columns to write. */
  readonly csv: string;
  readonly columns: string;
  /** How it is read. */
  readonly reading?: Reading;
}

/** A refusal is a value here, since an error would lose its class on the way between threads. */
export type IngestResult = { readonly content: ReadContent } | { readonly refused: { message: string; line: number } };

export async function ingest({
  csv,
  columns: columnsPath,
  reading = FIRST_READING,
}: IngestInput): Promise<IngestResult> {
  const hash = createHash("sha256");
  let bytes = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for await (const chunk of createReadStream(csv, { highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const table = new TableBuilder(reading);
  try {
    await readCsv(chunks(), (cells, line) => table.add(cells, line));
    const { rows, columns } = table.finish();
    const content = {
      sha256: hash.digest("hex"),
      bytes,
      reading,
      rows,
      columns: columns.map(({ summary }) => summary),
    };
    const columns_sha256 = await writeColumnFile(columnsPath, content, columns);
    return { content: { ...content, columns_sha256 } };
  } catch (error) {
    if (error instanceof InvalidDataset) return { refused: { message: error.message, line: error.line } };
    throw error;
  }
}

class TableBuilder {
  readonly #reading: Reading;
  #columns: TableColumns | null = null;
  #width = 0;
  #rows = 0;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  add(cells: string[], line: number): void {
    if (this.#columns === null) {
      checkHeader(cells);
      const { version, decimal, missing_values: missingValues, columns: types } = this.#reading;
      this.#columns = new TableColumns(cells, { version, decimal, missingValues, types });
      this.#width = cells.length;
      return;
    }
    if (cells.length !== this.#width) throw raggedRow(cells, this.#width, line);
    for (let i = 0; i < cells.length; i++) {
      if (cells[i].length > MAX_CELL_LENGTH) {
        throw new InvalidDataset(`Cell ${i + 1} of this row has more than ${MAX_CELL_LENGTH} characters.`, line);
      }
    }
    this.#columns.add(cells, line);
    this.#rows++;
  }

  finish(): { rows: number; columns: Column[] } {
    const columns = this.#columns;
    if (columns === null) throw new InvalidDataset("The file is empty; its first line must name the columns.", 1);
    if (this.#rows === 0) throw new InvalidDataset("The file has a header but no rows.", 1);
    columns.settle();
    return { rows: this.#rows, columns: columns.finish() };
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
