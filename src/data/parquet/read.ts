/*
 * Parquet: a table in columns, as pandas, Polars, DuckDB and Spark write it. The rows are in row
 * groups, the values of a column in a row group are a chunk of pages (pages.ts), and the end of the
 * file describes it all. One chunk is in memory at a time, besides the values that are kept.
 *
 * The file says which type a column has (schema.ts), so nothing is detected (columnar/builder.ts).
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
import { asDamage, damaged } from "../columnar/damage.ts";
import { CELL_BYTES, ColumnBuilder, entry, tableOf, type BuiltColumn } from "../columnar/builder.ts";
import type { Value } from "../columnar/kinds.ts";
import type { Room } from "../columnar/room.ts";
import { openSource, type Source } from "../columnar/source.ts";
import type { Column } from "../columns/column.ts";
import { TextRoom } from "../columns/kept-texts.ts";
import { DatasetTooLarge, InvalidDataset, MAX_TEXT_BYTES } from "../dataset.ts";
import { readMetadata, type FileMetadata } from "./metadata.ts";
import { pagesOf } from "./pages.ts";
import { columnsOf, type FileColumn } from "./schema.ts";
import type { RawValue } from "./values.ts";

const MAGIC = Buffer.from("PAR1");
/** The first byte of a page or of the description. */
const FIRST_FIELD = 0x15;
const FOOTER_BYTES = 8;
/** Of the description at the end. 10,000 columns in a hundred row groups take as much. */
const MAX_DESCRIPTION_BYTES = 2 ** 26;

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
    const columns: BuiltColumn[] = [];
    for (const column of fileColumns) columns.push(await readColumn(source, column, groups, rows, room, texts));
    return { rows, columns: tableOf(columns, texts) };
  } finally {
    await source.close();
  }
}

async function describe(source: Source): Promise<FileMetadata> {
  const footer = Buffer.from(await source.read(Math.max(0, source.size - FOOTER_BYTES), source.size));
  if (!footer.subarray(4).equals(MAGIC))
    throw new InvalidDataset("The Parquet file is cut off: its last four bytes are not PAR1.", null);
  const length = footer.readUInt32LE();
  if (length + FOOTER_BYTES > source.size) throw damaged("Parquet", "its description is longer than the file");
  if (length > MAX_DESCRIPTION_BYTES)
    throw new InvalidDataset(
      `The Parquet file describes itself in ${length} bytes; they may be ${MAX_DESCRIPTION_BYTES}. Write larger row groups.`,
      null,
    );
  const bytes = await source.read(source.size - FOOTER_BYTES - length, source.size);
  return guarded(() => readMetadata(bytes));
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asDamage("Parquet", error);
  }
}

async function readColumn(
  source: Source,
  column: FileColumn,
  groups: readonly number[],
  rows: number,
  room: Room,
  texts: TextRoom | null,
): Promise<BuiltColumn> {
  let builder = new ColumnBuilder(column.name, column.type, rows, texts);
  await eachValue(source, column, groups, room, builder);
  if (builder.needsTexts) {
    builder = builder.ofTexts();
    // The pages count once.
    await eachValue(source, column, groups, { ...room, bytes: Infinity }, builder);
  }
  return builder.finish();
}

/** Gives the builder the value of every row, or null. */
async function eachValue(
  source: Source,
  { name, chunks, valueOf }: FileColumn,
  groups: readonly number[],
  room: Room,
  builder: ColumnBuilder,
): Promise<void> {
  let row = 0;
  for (const [i, rows] of groups.entries()) {
    const place = chunks[i];
    if (!(place.begin >= 0 && place.end >= place.begin && place.end <= source.size))
      throw damaged("Parquet", "its pages lie beyond the end of the file", name);
    const bytes = await source.read(place.begin, place.end);
    try {
      let dictionary: Value[] = [];
      const known = (values: Iterable<RawValue>) => (dictionary = Array.from(values, valueOf));
      for (const { levels, indices, values, ...page } of pagesOf(bytes, place, rows, room, known)) {
        let at = 0;
        const next = values[Symbol.iterator]();
        for (let i = 0; i < page.rows; i++, row++) {
          if (levels !== null && levels[i] === 0) builder.add(null, row);
          else if (indices !== null) builder.add(entry(dictionary, indices[at++]), row);
          else builder.add(valueOf(next.next().value as RawValue), row);
        }
      }
    } catch (error) {
      throw asDamage("Parquet", error, name);
    }
  }
}
