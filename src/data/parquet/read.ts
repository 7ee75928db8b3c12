/*
 * Parquet: a table in columns, as pandas, Polars, DuckDB and Spark write it. The rows are in row
 * groups, the values of a column in a row group are a chunk of pages (pages.ts), and the end of the
 * file describes it all. One chunk is in memory at a time, besides the values that are kept.
 *
 * The file says which type a column has (schema.ts), so nothing is detected: a text stays a text
 * even if it looks like a number. For the rest a column is as if it came from a CSV file: an empty
 * text is missing, a number that is NaN too, and a column of whole numbers that no double holds
 * exactly keeps their spelling, and is categorical.
 *
 * Why this is no library: hyparquet 1.33, the best kept one, believes what a file claims, inside of
 * its pages too. Levels, booleans and indices into a dictionary come in runs of equal values, and
 * it writes a run to memory for as long as the run claims to be (readRle). A file of 109 bytes with
 * three rows so ends the whole process: V8 does not confine this to the thread. No check of the
 * metadata or of a page's header sees it. A guard would have to walk every list and number of the
 * description and of the headers (a list is made as long as it claims to be, and a number has no
 * end), unpack each page, walk all its runs, and decode all its differences (the lengths of texts
 * that continue each other are such). That is most of what is here, to be kept in step with the
 * inside of the library; plain numbers and Snappy alone would be left to it. It also divides a
 * decimal number by a power of ten, and so does not yield the nearest double.
 */
import { open } from "node:fs/promises";
import { MissingCells } from "../columns/cell-word.ts";
import { dateColumn, numericColumn, type Column } from "../columns/column.ts";
import { type KeptTexts, TextRoom } from "../columns/kept-texts.ts";
import { listShortest, withTexts } from "../columns/table-columns.ts";
import { TypedColumn } from "../columns/typed-column.ts";
import { DatasetTooLarge, InvalidDataset, MAX_CELL_LENGTH, MAX_TEXT_BYTES } from "../dataset.ts";
import { DamagedFile } from "./damaged.ts";
import { readMetadata, type FileMetadata } from "./metadata.ts";
import { pagesOf } from "./pages.ts";
import type { Room } from "./room.ts";
import { columnsOf, type FileColumn } from "./schema.ts";
import type { RawValue } from "./values.ts";

const MAGIC = Buffer.from("PAR1");
/** The first byte of a page or of the description. */
const FIRST_FIELD = 0x15;
const FOOTER_BYTES = 8;
/** Of the description at the end. 10,000 columns in a hundred row groups take as much. */
const MAX_DESCRIPTION_BYTES = 2 ** 26;
/** A cell of a CSV file takes at least as much, with its separator. */
const CELL_BYTES = 2;
/** The last day that a date of JavaScript can be. */
const MAX_TIME_MS = 8.64e15;

export function isParquet(start: Buffer): boolean {
  return start.subarray(0, MAGIC.length).equals(MAGIC) && start[MAGIC.length] === FIRST_FIELD;
}

/**
 * @param file its path, or its bytes
 * @param limitBytes of its pages when they are unpacked
 * @param keepsTexts whether the texts of columns without classes are kept
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readParquet(
  file: string | Buffer,
  limitBytes: number,
  keepsTexts = true,
): Promise<{ rows: number; columns: Column[] }> {
  const source = await openSource(file);
  try {
    const metadata = await describe(source);
    const groups = metadata.groups.map(({ rows }) => rows);
    const rows = groups.reduce((sum, count) => sum + count, 0);
    if (rows === 0) throw new InvalidDataset("The Parquet file has no rows.", null);
    const fileColumns = guarded(() => columnsOf(metadata));
    if (rows * fileColumns.length * CELL_BYTES > limitBytes) throw new DatasetTooLarge(limitBytes);
    const room = { bytes: limitBytes, limitBytes };
    const texts = keepsTexts ? new TextRoom(MAX_TEXT_BYTES) : null;
    const columns: Column[] = [];
    const kept: (KeptTexts | null)[] = [];
    for (const fileColumn of fileColumns) {
      const { column, texts: own } = await readColumn(source, fileColumn, groups, rows, room, texts);
      columns.push(column);
      kept.push(own);
    }
    return { rows, columns: withTexts(listShortest(columns), kept) };
  } finally {
    await source.close();
  }
}

async function describe(source: Source): Promise<FileMetadata> {
  const footer = Buffer.from(await source.read(Math.max(0, source.size - FOOTER_BYTES), source.size));
  if (!footer.subarray(4).equals(MAGIC))
    throw new InvalidDataset("The Parquet file is cut off: its last four bytes are not PAR1.", null);
  const length = footer.readUInt32LE();
  if (length + FOOTER_BYTES > source.size) throw damaged("its description is longer than the file");
  if (length > MAX_DESCRIPTION_BYTES)
    throw new InvalidDataset(
      `The Parquet file describes itself in ${length} bytes; they may be ${MAX_DESCRIPTION_BYTES}. Write larger row groups.`,
      null,
    );
  const bytes = await source.read(source.size - FOOTER_BYTES - length, source.size);
  return guarded(() => readMetadata(bytes));
}

/** What reads a file does not expect damage, and may throw anything. */
function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidDataset || error instanceof DatasetTooLarge) throw error;
    throw damaged((error as Error).message);
  }
}

function damaged(what: string, column?: string): InvalidDataset {
  const where = column === undefined ? "" : ` in the column ${JSON.stringify(column)}`;
  return new InvalidDataset(`The Parquet file is damaged or cut off${where}: ${what.replace(/\.$/, "")}.`, null);
}

async function readColumn(
  source: Source,
  column: FileColumn,
  groups: readonly number[],
  rows: number,
  room: Room,
  texts: TextRoom | null,
): Promise<{ column: Column; texts: KeptTexts | null }> {
  const inexact = column.type === "numeric" ? await numbers(source, column, groups, rows, room) : null;
  if (inexact !== null && inexact !== "inexact") return { column: inexact, texts: null };
  if (column.type === "date") return { column: await dates(source, column, groups, rows, room), texts: null };
  const { name } = column;
  const isBoolean = column.type === "boolean";
  const typed = new TypedColumn(name, isBoolean ? "boolean" : "categorical", new MissingCells([]), texts);
  const add = (cell: string, row: number) => {
    if (cell.length > MAX_CELL_LENGTH)
      throw new InvalidDataset(
        `The column ${JSON.stringify(name)} has a text of more than ${MAX_CELL_LENGTH} characters in row ${row}.`,
        null,
      );
    typed.add(cell, row);
  };
  // The pages are read a second time, and count once.
  const again = inexact === null ? room : { ...room, bytes: Infinity };
  await eachValue(source, column, groups, again, (value, row) => add(value === null ? "" : String(value), row));
  typed.settle({ mark: ".", proof: "declared" });
  return { column: typed.finish(), texts: typed.texts };
}

/** "inexact" if one of the numbers is whole and no double holds it. */
async function numbers(source: Source, column: FileColumn, groups: readonly number[], rows: number, room: Room) {
  const values = new Float64Array(rows).fill(Number.NaN);
  let missing = rows;
  let isExact = true;
  await eachValue(source, column, groups, room, (value, row) => {
    if (typeof value === "bigint") isExact &&= BigInt(Number(value)) === value;
    if (value === null || Number.isNaN(value)) return;
    values[row] = Number(value);
    missing--;
    if (!Number.isFinite(values[row])) throw notFinite(column.name, value, row);
  });
  return isExact ? numericColumn(column.name, missing, values) : "inexact";
}

function notFinite(name: string, value: unknown, row: number): InvalidDataset {
  return new InvalidDataset(
    `The column ${JSON.stringify(name)} holds ${String(value)} in row ${row}. All numbers must be finite: replace it, or make it null.`,
    null,
  );
}

async function dates(source: Source, column: FileColumn, groups: readonly number[], rows: number, room: Room) {
  const values = new Float64Array(rows).fill(Number.NaN);
  let missing = rows;
  await eachValue(source, column, groups, room, (value, row) => {
    if (value === null) return;
    values[row] = Number(value);
    missing--;
    if (Math.abs(values[row]) > MAX_TIME_MS)
      throw new InvalidDataset(
        `The column ${JSON.stringify(column.name)} holds a date in row ${row} that is too far away.`,
        null,
      );
  });
  return dateColumn(column.name, missing, values);
}

type Value = number | bigint | string;

/** Calls `take` with the value of every row from 0, or null. */
async function eachValue(
  source: Source,
  { name, chunks, valueOf }: FileColumn,
  groups: readonly number[],
  room: Room,
  take: (value: Value | null, row: number) => void,
): Promise<void> {
  let row = 0;
  for (const [i, rows] of groups.entries()) {
    const place = chunks[i];
    if (!(place.begin >= 0 && place.end >= place.begin && place.end <= source.size))
      throw damaged("its pages lie beyond the end of the file", name);
    const bytes = await source.read(place.begin, place.end);
    try {
      let dictionary: Value[] = [];
      const known = (values: Iterable<RawValue>) => (dictionary = Array.from(values, valueOf));
      for (const { levels, indices, values, ...page } of pagesOf(bytes, place, rows, room, known)) {
        let at = 0;
        const next = values[Symbol.iterator]();
        for (let i = 0; i < page.rows; i++, row++) {
          if (levels !== null && levels[i] === 0) take(null, row);
          else if (indices !== null) take(entry(dictionary, indices[at++]), row);
          else take(valueOf(next.next().value as RawValue), row);
        }
      }
    } catch (error) {
      if (error instanceof InvalidDataset || error instanceof DatasetTooLarge) throw error;
      throw damaged((error as Error).message, name);
    }
  }
}

function entry<T>(dictionary: readonly T[], index: number): T {
  if (index >= dictionary.length) throw new DamagedFile(`there is no value ${index} in its dictionary`);
  return dictionary[index];
}

/** Where the bytes come from: a file, or memory. */
interface Source {
  readonly size: number;
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

async function openSource(from: string | Buffer): Promise<Source> {
  if (typeof from !== "string")
    return {
      size: from.length,
      read: async (begin, end) => from.subarray(begin, end),
      close: async () => undefined,
    };
  const file = await open(from);
  const { size } = await file.stat();
  return {
    size,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      await file.read(bytes, 0, bytes.length, begin);
      return bytes;
    },
    close: () => file.close(),
  };
}
