/*
 * The file of typed columns that a dataset is parsed into once, so that a job that needs two columns reads two columns.
 *
 *   8 bytes   length of the header, little-endian
 *   header    JSON, padded with spaces to a multiple of 8: {"format": "rappel-columns-1", "content": <DatasetContent>}
 *   columns   in the header's order. Numeric: a double a row, NaN for an empty cell. Categorical: a 16-bit index into
 *             `classes` a row, 0xffff for an empty cell, padded to a multiple of 8; nothing if it has no classes
 *
 * Where a column lies follows from the header. Numbers are little-endian, like every processor this runs on.
 */
import { open, writeFile, type FileHandle } from "node:fs/promises";
import type { ColumnSummary, DatasetContent } from "./dataset.ts";
import type { Column } from "./column.ts";

const FORMAT = "rappel-columns-1";

/** Writes and syncs a new file. `content` describes `columns`, which are taken in its order. */
export function writeColumnFile(path: string, content: DatasetContent, columns: readonly Column[]): Promise<void> {
  return writeFile(path, blocks(content, columns), { flag: "wx", flush: true });
}

function* blocks(content: DatasetContent, columns: readonly Column[]): Generator<Uint8Array> {
  const json = Buffer.from(JSON.stringify({ format: FORMAT, content }));
  const header = Buffer.alloc(8 + padded(json.length), " ");
  header.writeBigUInt64LE(BigInt(padded(json.length)));
  header.set(json, 8);
  yield header;
  for (const { values } of columns) {
    if (values === null) continue;
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    yield new Uint8Array(padded(values.byteLength) - values.byteLength);
  }
}

export class ColumnFile {
  readonly content: DatasetContent;
  readonly #file: FileHandle;
  readonly #offsets: number[];

  private constructor(file: FileHandle, content: DatasetContent, start: number) {
    this.#file = file;
    this.content = content;
    this.#offsets = offsets(content, start);
  }

  /** Opens a file, hands it to `use`, and closes it whatever happens. */
  static async with<T>(path: string, use: (file: ColumnFile) => T | Promise<T>): Promise<T> {
    const file = await open(path);
    try {
      const length = Buffer.from(await read(file, 0, 8)).readBigUInt64LE();
      const header = JSON.parse(Buffer.from(await read(file, 8, Number(length))).toString()) as {
        format: string;
        content: DatasetContent;
      };
      if (header.format !== FORMAT) throw new Error(`${path} has the unknown format ${header.format}.`);
      return await use(new ColumnFile(file, header.content, 8 + Number(length)));
    } finally {
      await file.close();
    }
  }

  /** The number of the column with this name. */
  index(name: string): number {
    const index = this.content.columns.findIndex((column) => column.name === name);
    if (index < 0) throw new Error(`The dataset has no column ${JSON.stringify(name)}.`);
    return index;
  }

  async numbers(index: number): Promise<Float64Array> {
    return new Float64Array(await this.#read(index));
  }

  async codes(index: number): Promise<Uint16Array> {
    return new Uint16Array(await this.#read(index));
  }

  #read(index: number): Promise<ArrayBuffer> {
    const { content } = this;
    return read(this.#file, this.#offsets[index], content.rows * cellBytes(content.columns[index]));
  }
}

function offsets({ rows, columns }: DatasetContent, start: number): number[] {
  return columns.map((column) => {
    const offset = start;
    start += padded(rows * cellBytes(column));
    return offset;
  });
}

function cellBytes({ type, classes }: ColumnSummary): number {
  if (type === "numeric") return 8;
  return classes === null ? 0 : 2;
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

async function read(file: FileHandle, position: number, length: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new Error("The file of columns is cut off.");
    done += bytesRead;
  }
  return bytes.buffer;
}
