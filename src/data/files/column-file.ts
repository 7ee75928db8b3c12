/*
 * A dataset is parsed once, into a file of typed columns. A job that needs two columns reads only
 * two.
 *
 *   8 bytes   length of the header, little-endian
 *   32 bytes  SHA-256 of the header
 *   header    JSON, padded with spaces to a multiple of 8:
 *             {"format": "rappel-columns-2" (3 if it keeps texts of a table, 4 if some of them are
 *              a dictionary),
 *              "content": <DatasetContent>,
 *              "sha256": [of each column's bytes],
 *              "dictionaries": [{"texts", "bytes"} of each column, or null] (format 4)}
 *   columns   in the order of the header. Numeric: one double per row, NaN for a missing cell.
 *             Date: the same, in milliseconds since 1970-01-01T00:00:00Z. Categorical and boolean:
 *             one 16-bit index into `classes` per row, 0xffff for a missing cell. If the column has
 *             no classes, nothing, or its texts: one 32-bit number per row, where its text ends,
 *             and then the texts in UTF-8, `text_bytes` together; a missing cell is empty. Texts
 *             of a dictionary: one 32-bit number of a text per row, 0xffffffff for a missing cell,
 *             and then the different texts, written in the same way. Tensor:
 *             the elements of all rows, row-major, in the type in which their dtype is kept
 *             (tensors/elements.ts). Text: its bytes, in UTF-8. Each column is padded to a multiple
 *             of 8
 *
 * The header gives the place of each column. Numbers are little-endian, as on every processor that
 * this runs on.
 *
 * A disk, or somebody with access to it, may change a bit. Then jobs would train another model, and
 * nobody would notice. So the header is checked whenever a file is opened, and a column whenever it
 * is read. The check runs in a helper thread and takes 0.65 ms per megabyte (65 ms for 100 MB, if
 * the processor has instructions for SHA-256). A file that fails can be made again from the CSV
 * file. Files without checksums, from earlier versions, fail too.
 *
 * The SHA-256 of the whole file identifies the dataset. So the same content and columns must always
 * give the same bytes, and a new format may only be written for readings of later versions. The
 * reasons of columns are left out (null), so that their wording may change.
 */
import { createHash, type Hash } from "node:crypto";
import { open, writeFile, type FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import {
  keepsTexts,
  type ColumnSummary,
  type DatasetContent,
  type StoredDataset,
  type TensorColumn,
} from "../dataset.ts";
import { CodedTexts } from "../text/coded-texts.ts";
import { bytesOf, Texts, type DictionarySize } from "../text/texts.ts";
import { holdsDoubles, type AnyColumn } from "../columns/column.ts";
import { keptBytes, keptValues, type TensorValues } from "../tensors/elements.ts";
import { size } from "../../engine/member/shape.ts";
import { DamagedFile } from "./disk.ts";

const FORMAT = "rappel-columns-2";
/** Versions that do not know these would look for other columns in the place of the texts. */
const FORMAT_WITH_TEXTS = "rappel-columns-3";
const FORMAT_WITH_DICTIONARIES = "rappel-columns-4";
const HASH_BYTES = 32;
const HEADER_AT = 8 + HASH_BYTES;

/**
 * Writes and syncs a new file, and returns its SHA-256. `content` describes the `columns`, which
 * are written in its order.
 */
export async function writeColumnFile(
  path: string,
  content: DatasetContent,
  columns: readonly AnyColumn[],
): Promise<string> {
  const hash = createHash("sha256");
  await writeFile(path, through(hash, blocks(content, columns)), { flag: "wx", flush: true });
  return hash.digest("hex");
}

function* through(hash: Hash, blocks: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const block of blocks) {
    hash.update(block);
    yield block;
  }
}

function* blocks(content: DatasetContent, columns: readonly AnyColumn[]): Generator<Uint8Array> {
  const sha256 = columns.map((column) => sha256Of(...partsOf(column)));
  const unexplained = content.columns.map((column) => ({ ...column, reason: null }));
  const dictionaries = columns.map(dictionaryOf);
  const described = { content: { ...content, columns: unexplained }, sha256 };
  const json = Buffer.from(
    JSON.stringify(
      dictionaries.some((size) => size !== null)
        ? { format: FORMAT_WITH_DICTIONARIES, ...described, dictionaries }
        : { format: content.columns.some(keepsTexts) ? FORMAT_WITH_TEXTS : FORMAT, ...described },
    ),
  );
  const header = Buffer.alloc(HEADER_AT + padded(json.length), " ");
  header.writeBigUInt64LE(BigInt(padded(json.length)));
  header.set(json, HEADER_AT);
  header.set(Buffer.from(sha256Of(header.subarray(HEADER_AT)), "hex"), 8);
  yield header;
  for (const column of columns) {
    let bytes = 0;
    for (const part of partsOf(column)) {
      yield part;
      bytes += part.length;
    }
    yield new Uint8Array(padded(bytes) - bytes);
  }
}

function dictionaryOf(column: AnyColumn): DictionarySize | null {
  return "texts" in column ? (column.texts?.dictionary ?? null) : null;
}

/** The bytes of a column, one part after the other. */
function partsOf(column: AnyColumn): Uint8Array[] {
  if ("texts" in column && column.texts !== undefined) return column.texts.stored();
  return column.values === null ? [] : [bytesOf(column.values)];
}

function sha256Of(...parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** The file to check, and the dataset that it should belong to. */
export interface ColumnsToCheck extends Pick<StoredDataset, "sha256" | "columns_sha256"> {
  readonly path: string;
}

/**
 * Reads all of a file.
 * @throws DamagedFile if it is not the file of the dataset, or not as it was written
 */
export function checkColumns({ path, sha256, columns_sha256 }: ColumnsToCheck): Promise<void> {
  return ColumnFile.with(path, async (file) => {
    const same = columns_sha256 === null ? await file.isOf(sha256) : (await file.sha256()) === columns_sha256;
    if (!same) throw new DamagedFile("The file of columns is not the one of this dataset.", path);
  });
}

/**
 * Identifies a file by its beginning: returns the SHA-256 of the header, which contains the hashes
 * of the columns. Null if `start` is too short for that.
 */
export function headerHash(start: Buffer): string | null {
  return start.length < HEADER_AT ? null : start.toString("hex", 8, HEADER_AT);
}

interface Header {
  readonly format: string;
  readonly content: DatasetContent;
  readonly sha256: readonly string[];
  readonly dictionaries?: readonly (DictionarySize | null)[];
}

interface OpenedFile {
  readonly handle: FileHandle;
  readonly path: string;
}

export class ColumnFile {
  readonly content: DatasetContent;
  readonly #file: OpenedFile;
  readonly #sizes: readonly number[];
  readonly #offsets: readonly number[];
  readonly #sha256: readonly string[];
  readonly #dictionaries: Header["dictionaries"];

  private constructor(file: OpenedFile, { content, sha256, dictionaries }: Header, start: number) {
    this.#file = file;
    this.content = content;
    this.#sha256 = sha256;
    this.#dictionaries = dictionaries;
    const { rows, columns } = content;
    this.#sizes = columns.map((column, i) => columnBytes(column, rows, dictionaries?.[i] ?? null));
    this.#offsets = offsets(this.#sizes, start);
  }

  /**
   * Opens a file, hands it to `use`, and closes it whatever happens.
   * @throws DamagedFile if it is missing or not as it was written, and whatever `use` throws
   */
  static async with<T>(path: string, use: (file: ColumnFile) => T | Promise<T>): Promise<T> {
    const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? new DamagedFile("The file of columns is missing.", path) : error;
    });
    const file = { handle, path };
    try {
      const { size } = await handle.stat();
      const start = Buffer.from(await read(file, 0, HEADER_AT));
      const length = Number(start.readBigUInt64LE());
      if (length > size) throw new DamagedFile("The file of columns has a damaged header.", path);
      const bytes = Buffer.from(await read(file, HEADER_AT, length));
      if (sha256Of(bytes) !== start.toString("hex", 8))
        throw new DamagedFile("The file of columns has a damaged header.", path);
      const header = JSON.parse(bytes.toString()) as Header;
      if (![FORMAT, FORMAT_WITH_TEXTS, FORMAT_WITH_DICTIONARIES].includes(header.format))
        throw new DamagedFile(`The file of columns has the unknown format ${header.format}.`, path);
      return await use(new ColumnFile(file, header, HEADER_AT + length));
    } finally {
      await handle.close();
    }
  }

  /** The number of the column with this name. */
  index(name: string): number {
    const index = this.content.columns.findIndex((column) => column.name === name);
    if (index < 0) throw new Error(`The dataset has no column ${JSON.stringify(name)}.`);
    return index;
  }

  /** Reads a column from its first row to its last, some rows at a time. */
  scan(index: number): ColumnScan {
    const summary = this.content.columns[index];
    const bytes = this.#sizes[index];
    const place = { file: this.#file, offset: this.#offsets[index], bytes, sha256: this.#sha256[index] };
    return new ColumnScan(index, summary, bytes / this.content.rows, place);
  }

  /** The SHA-256 of the whole file. */
  async sha256(): Promise<string> {
    const hash = createHash("sha256");
    const stream = this.#file.handle.createReadStream({ start: 0, autoClose: false, highWaterMark: 2 ** 18 });
    await pipeline(stream, hash).catch(unreadable(this.#file.path));
    return hash.digest("hex");
  }

  /**
   * Whether these are the columns of a CSV file with this hash.
   * @throws DamagedFile if a column is not as it was written
   */
  async isOf(sha256: string): Promise<boolean> {
    for (const index of this.content.columns.keys()) await this.#read(index);
    return this.content.sha256 === sha256;
  }

  async numbers(index: number): Promise<Float64Array> {
    return new Float64Array(await this.#read(index));
  }

  async codes(index: number): Promise<Uint16Array> {
    return new Uint16Array(await this.#read(index));
  }

  /** Of a tensor column. */
  async elements(index: number): Promise<TensorValues> {
    const { dtype } = this.content.columns[index] as TensorColumn;
    return keptValues(dtype, await this.#read(index));
  }

  /** Of a column of a table that keeps its texts. */
  async texts(index: number): Promise<Texts | CodedTexts> {
    const { rows } = this.content;
    const dictionary = this.#dictionaries?.[index] ?? null;
    const bytes = await this.#read(index);
    return dictionary === null ? Texts.from(bytes, rows) : CodedTexts.from(bytes, rows, dictionary);
  }

  /** Of a text column: its bytes. */
  async text(index: number): Promise<Uint8Array> {
    return new Uint8Array(await this.#read(index));
  }

  async #read(index: number): Promise<ArrayBuffer> {
    const bytes = await read(this.#file, this.#offsets[index], this.#sizes[index]);
    if (sha256Of(new Uint8Array(bytes)) !== this.#sha256[index]) {
      throw damagedIn(index, this.#file.path);
    }
    return bytes;
  }
}

const damagedIn = (index: number, path: string) =>
  new DamagedFile(`The file of columns is damaged in column ${index + 1}.`, path);

/** Where a column is in its file, and what it must be. */
interface ColumnPlace {
  readonly file: OpenedFile;
  readonly offset: number;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * The values of a column, block by block. Whether they are as they were written shows only at the
 * end: until then nothing that follows from them may be kept.
 */
export class ColumnScan {
  readonly summary: ColumnSummary;
  readonly rowBytes: number;
  readonly #index: number;
  readonly #place: ColumnPlace;
  readonly #hash = createHash("sha256");
  #done = 0;

  constructor(index: number, summary: ColumnSummary, rowBytes: number, place: ColumnPlace) {
    this.#index = index;
    this.summary = summary;
    this.rowBytes = rowBytes;
    this.#place = place;
  }

  /** The next rows. @throws DamagedFile */
  async next(rows: number): Promise<Float64Array | Uint16Array | TensorValues> {
    const { file, offset, bytes, sha256 } = this.#place;
    const block = await read(file, offset + this.#done, rows * this.rowBytes);
    this.#done += block.byteLength;
    this.#hash.update(new Uint8Array(block));
    if (this.#done === bytes && this.#hash.digest("hex") !== sha256) throw damagedIn(this.#index, file.path);
    if (this.summary.type === "tensor") return keptValues(this.summary.dtype, block);
    return holdsDoubles(this.summary) ? new Float64Array(block) : new Uint16Array(block);
  }
}

function offsets(sizes: readonly number[], start: number): number[] {
  return sizes.map((bytes) => {
    const offset = start;
    start += padded(bytes);
    return offset;
  });
}

function columnBytes(summary: ColumnSummary, rows: number, dictionary: DictionarySize | null): number {
  if (dictionary !== null) return 4 * (rows + dictionary.texts) + dictionary.bytes;
  if (summary.type === "text") return summary.bytes;
  if (summary.type === "tensor") return rows * size(summary.shape) * keptBytes(summary.dtype);
  if (holdsDoubles(summary)) return 8 * rows;
  if (summary.classes !== null) return 2 * rows;
  return keepsTexts(summary) ? 4 * rows + summary.text_bytes! : 0;
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

async function read({ handle, path }: OpenedFile, position: number, length: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done).catch(unreadable(path));
    if (bytesRead === 0) throw new DamagedFile("The file of columns is cut off.", path);
    done += bytesRead;
  }
  return bytes.buffer;
}

/** A sector that can no longer be read is damage like any other. */
function unreadable(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw error.code === "EIO" ? new DamagedFile(`The file of columns cannot be read: ${error.message}.`, path) : error;
  };
}
