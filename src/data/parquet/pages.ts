/*
 * The pages of a column chunk. A page has a header, then its values, packed by the codec of the
 * chunk: for each row a level (1: it has a value, 0: it is null), and the values of the rows that
 * have one. They may be indices into the dictionary, which is the first page.
 *
 * A damaged or malicious file may claim any size. So every size is checked against what the file
 * can hold before anything of that size is made, and unpacked bytes count against the limit of a
 * dataset.
 */
import { crc32 } from "node:zlib";
import { InvalidDataset } from "../dataset.ts";
import { unpackPage } from "./codecs.ts";
import { DamagedFile } from "../columnar/damage.ts";
import { readPageHeader, type PageHeader } from "./metadata.ts";
import { MAX_VALUES, spend, type Room } from "../columnar/room.ts";
import { readRuns } from "./runs.ts";
import type { ChunkPlace } from "./schema.ts";
import { readValues, type RawValue } from "./values.ts";

/** The values of some rows, one after the other. */
export interface Page {
  readonly rows: number;
  /** For each row whether it has a value; null: all have one. */
  readonly levels: Uint32Array | null;
  /** Of the rows that have a value: indices into the dictionary, or the values themselves. */
  readonly indices: Uint32Array | null;
  readonly values: Iterable<RawValue>;
}

/**
 * Yields the pages of `rows` rows. Before, `dictionary` gets the values of the dictionary if there
 * is one.
 * @throws DamagedFile, InvalidDataset, DatasetTooLarge, or an Error of what unpacks
 */
export function* pagesOf(
  bytes: Uint8Array,
  place: ChunkPlace,
  rows: number,
  room: Room,
  dictionary: (values: Iterable<RawValue>) => void,
): Generator<Page> {
  let at = 0;
  for (let left = rows; left > 0;) {
    const header = readPageHeader(bytes.subarray(at));
    const begin = at + header.bytes;
    at = begin + header.packedBytes;
    if (at > bytes.length) throw new DamagedFile(`a page of ${header.packedBytes} bytes is cut off`);
    const packed = bytes.subarray(begin, at);
    check(header, packed, room);
    if (header.type === "INDEX_PAGE") continue;
    if (header.type === "DICTIONARY_PAGE") {
      const unpacked = unpackPage(packed, place.codec, header.unpackedBytes);
      if (header.values > unpacked.length) throw new DamagedFile(`a dictionary claims ${header.values} values`);
      dictionary(readValues(unpacked, "PLAIN", place.type, place.typeLength, header.values, room));
      continue;
    }
    if (header.values > left) throw new DamagedFile(`a page claims ${header.values} rows, and there are ${left}`);
    const page =
      header.type === "DATA_PAGE"
        ? firstVersion(header, packed, place, room)
        : secondVersion(header, packed, place, room);
    left -= page.rows;
    yield page;
  }
}

function check({ unpackedBytes, values, checksum }: PageHeader, packed: Uint8Array, room: Room): void {
  spend(room, unpackedBytes);
  // A run of equal values takes a few bytes, so the size of a page is no limit to their number.
  if (values > MAX_VALUES)
    throw new InvalidDataset(
      `A page of the Parquet file holds ${values} values; it may hold ${MAX_VALUES}. Write smaller row groups.`,
      null,
    );
  if (checksum !== null && crc32(packed) !== checksum >>> 0) throw new DamagedFile("a page has a wrong checksum");
}

/** The levels are packed with the values, after their length. */
function firstVersion(header: PageHeader, packed: Uint8Array, place: ChunkPlace, room: Room): Page {
  const bytes = unpackPage(packed, place.codec, header.unpackedBytes);
  if (!place.isNullable) return pageOf(header, null, bytes, place, room);
  if (bytes.length < 4) throw new DamagedFile("the levels of a page are cut off");
  const begin = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return pageOf(header, bytes.subarray(4, begin), bytes.subarray(begin), place, room);
}

/** The levels stand before the packed values. */
function secondVersion(header: PageHeader, packed: Uint8Array, place: ChunkPlace, room: Room): Page {
  const { repetitionBytes, definitionBytes, unpackedBytes, isPacked } = header;
  const begin = repetitionBytes + definitionBytes;
  const isWithin = repetitionBytes >= 0 && definitionBytes >= 0 && begin <= Math.min(packed.length, unpackedBytes);
  if (!isWithin) throw new DamagedFile("the levels of a page are cut off");
  const rest = packed.subarray(begin);
  const bytes = isPacked ? unpackPage(rest, place.codec, unpackedBytes - begin) : rest;
  return pageOf(header, place.isNullable ? packed.subarray(repetitionBytes, begin) : null, bytes, place, room);
}

function pageOf(
  { values: rows, encoding }: PageHeader,
  packedLevels: Uint8Array | null,
  bytes: Uint8Array,
  place: ChunkPlace,
  room: Room,
): Page {
  const levels = packedLevels === null ? null : readRuns(packedLevels, 1, rows);
  const count = levels === null ? rows : levels.reduce((sum, level) => sum + level, 0);
  if (count === 0) return { rows, levels, indices: null, values: [] };
  const isIndexed = encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY";
  if (isIndexed) return { rows, levels, indices: readRuns(bytes.subarray(1), bytes[0], count), values: [] };
  return {
    rows,
    levels,
    indices: null,
    values: readValues(bytes, encoding, place.type, place.typeLength, count, room),
  };
}
