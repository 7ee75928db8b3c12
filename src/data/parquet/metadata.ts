/** What a Parquet file says of itself: its schema, its row groups, and the header of each page. */
import { DamagedFile } from "../columnar/damage.ts";
import { ThriftReader } from "./thrift.ts";

/** In the order of the format's numbers, as the next ones. */
const types = ["BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"] as const;
const convertedTypes = [
  "UTF8",
  "MAP",
  "MAP_KEY_VALUE",
  "LIST",
  "ENUM",
  "DECIMAL",
  "DATE",
  "TIME_MILLIS",
  "TIME_MICROS",
  "TIMESTAMP_MILLIS",
  "TIMESTAMP_MICROS",
  "UINT_8",
  "UINT_16",
  "UINT_32",
  "UINT_64",
  "INT_8",
  "INT_16",
  "INT_32",
  "INT_64",
  "JSON",
  "BSON",
  "INTERVAL",
] as const;
const codecs = ["UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"] as const;
const encodings = [
  "PLAIN",
  "GROUP_VAR_INT",
  "PLAIN_DICTIONARY",
  "RLE",
  "BIT_PACKED",
  "DELTA_BINARY_PACKED",
  "DELTA_LENGTH_BYTE_ARRAY",
  "DELTA_BYTE_ARRAY",
  "RLE_DICTIONARY",
  "BYTE_STREAM_SPLIT",
] as const;
const logicalTypes = {
  1: "STRING",
  2: "MAP",
  3: "LIST",
  4: "ENUM",
  5: "DECIMAL",
  6: "DATE",
  7: "TIME",
  8: "TIMESTAMP",
  10: "INTEGER",
  11: "UNKNOWN",
  12: "JSON",
  13: "BSON",
  14: "UUID",
  15: "FLOAT16",
} as const;
const repetitions = ["REQUIRED", "OPTIONAL", "REPEATED"] as const;
const pageTypes = ["DATA_PAGE", "INDEX_PAGE", "DICTIONARY_PAGE", "DATA_PAGE_V2"] as const;

export type PhysicalType = (typeof types)[number];
export type Codec = (typeof codecs)[number];
export type Encoding = (typeof encodings)[number];

export interface SchemaElement {
  name: string;
  /** Undefined: it has children. */
  type?: PhysicalType;
  typeLength?: number;
  repetition?: (typeof repetitions)[number];
  children?: number;
  converted?: (typeof convertedTypes)[number];
  scale?: number;
  logical?: LogicalType;
}

export interface LogicalType {
  readonly type: (typeof logicalTypes)[keyof typeof logicalTypes];
  readonly scale?: number;
  readonly unit?: "MILLIS" | "MICROS" | "NANOS";
  readonly isSigned?: boolean;
}

export interface ColumnChunk {
  readonly isElsewhere: boolean;
  readonly isEncrypted: boolean;
  readonly type: PhysicalType;
  /** The path of names in the schema. */
  readonly path: readonly string[];
  readonly codec: Codec;
  /** Its pages in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface RowGroup {
  readonly rows: number;
  readonly columns: readonly ColumnChunk[];
}

export interface FileMetadata {
  readonly schema: readonly SchemaElement[];
  readonly groups: readonly RowGroup[];
}

/** @throws DamagedFile */
export function readMetadata(bytes: Uint8Array): FileMetadata {
  const reader = new ThriftReader(bytes);
  let schema: SchemaElement[] = [];
  let groups: RowGroup[] = [];
  reader.struct({
    2: () => (schema = reader.list(() => schemaElement(reader))),
    4: () => (groups = reader.list(() => rowGroup(reader))),
  });
  return { schema, groups };
}

/** One of the words of the format, by its number. */
function word<T>(words: readonly T[], reader: ThriftReader): T {
  const number = reader.integer();
  const found = words[number];
  if (found === undefined)
    throw new DamagedFile(
      `its description has the unknown number ${number} where one of ${words.join(", ")} is expected`,
    );
  return found;
}

function schemaElement(reader: ThriftReader): SchemaElement {
  const element: Partial<SchemaElement> = {};
  reader.struct({
    1: () => (element.type = word(types, reader)),
    2: () => (element.typeLength = reader.integer()),
    3: () => (element.repetition = word(repetitions, reader)),
    4: () => (element.name = reader.text()),
    5: () => (element.children = reader.integer()),
    6: () => (element.converted = word(convertedTypes, reader)),
    7: () => (element.scale = reader.integer()),
    10: () => (element.logical = logicalType(reader)),
  });
  if (element.name === undefined) throw new DamagedFile("a column has no name");
  return element as SchemaElement;
}

function logicalType(reader: ThriftReader): LogicalType | undefined {
  let logical: LogicalType | undefined;
  const plain = (type: LogicalType["type"]) => (field: number) => {
    logical = { type };
    reader.skip(field);
  };
  let scale = 0;
  let unit: LogicalType["unit"];
  let isSigned = true;
  const unitFields = {
    1: (field: number) => ((unit = "MILLIS"), reader.skip(field)),
    2: (field: number) => ((unit = "MICROS"), reader.skip(field)),
    3: (field: number) => ((unit = "NANOS"), reader.skip(field)),
  };
  const names = Object.entries(logicalTypes).map(([id, type]) => [id, plain(type)]);
  reader.struct({
    ...Object.fromEntries(names),
    5: () => {
      reader.struct({ 1: () => (scale = reader.integer()) });
      logical = { type: "DECIMAL", scale };
    },
    8: () => {
      reader.struct({ 2: () => reader.struct(unitFields) });
      logical = { type: "TIMESTAMP", unit };
    },
    10: () => {
      reader.struct({ 2: (type) => (isSigned = reader.boolean(type)) });
      logical = { type: "INTEGER", isSigned };
    },
  });
  return logical;
}

function rowGroup(reader: ThriftReader): RowGroup {
  let columns: ColumnChunk[] | undefined;
  let rows = -1;
  reader.struct({
    1: () => (columns = reader.list(() => columnChunk(reader))),
    3: () => (rows = reader.integer()),
  });
  if (columns === undefined || rows < 0) throw new DamagedFile("a row group has no columns, or no number of rows");
  return { rows, columns };
}

function columnChunk(reader: ThriftReader): ColumnChunk {
  let isElsewhere = false;
  let isEncrypted = false;
  let type: PhysicalType | undefined;
  let path: string[] = [];
  let codec: Codec | undefined;
  let [data, dictionary, length] = [0, 0, -1];
  const encrypted = (field: number) => ((isEncrypted = true), reader.skip(field));
  reader.struct({
    1: (field) => ((isElsewhere = true), reader.skip(field)),
    3: () =>
      reader.struct({
        1: () => (type = word(types, reader)),
        3: () => (path = reader.list(() => reader.text())),
        4: () => (codec = word(codecs, reader)),
        7: () => (length = reader.integer()),
        9: () => (data = reader.integer()),
        11: () => (dictionary = reader.integer()),
      }),
    8: encrypted,
    9: encrypted,
  });
  if (isEncrypted) return { isElsewhere, isEncrypted, type: "INT32", path, codec: "UNCOMPRESSED", begin: 0, end: 0 };
  if (type === undefined || codec === undefined || length < 0) throw new DamagedFile("a column is not described");
  const begin = dictionary > 0 ? dictionary : data;
  return { isElsewhere, isEncrypted, type, path, codec, begin, end: begin + length };
}

export interface PageHeader {
  readonly type: (typeof pageTypes)[number];
  readonly packedBytes: number;
  readonly unpackedBytes: number;
  /** Null: there is none. */
  readonly checksum: number | null;
  readonly values: number;
  readonly encoding: Encoding;
  /** Of the second version of data pages: bytes of the levels before the values. */
  readonly repetitionBytes: number;
  readonly definitionBytes: number;
  readonly isPacked: boolean;
  /** Bytes of the header itself. */
  readonly bytes: number;
}

/** @throws DamagedFile */
export function readPageHeader(bytes: Uint8Array): PageHeader {
  const reader = new ThriftReader(bytes);
  let type: PageHeader["type"] | undefined;
  let checksum: number | null = null;
  let [unpackedBytes, packedBytes, values, definitionBytes, repetitionBytes] = [-1, -1, -1, 0, 0];
  let encoding: Encoding = "PLAIN";
  let isPacked = true;
  const first = () =>
    reader.struct({ 1: () => (values = reader.integer()), 2: () => (encoding = word(encodings, reader)) });
  reader.struct({
    1: () => (type = word(pageTypes, reader)),
    2: () => (unpackedBytes = reader.integer()),
    3: () => (packedBytes = reader.integer()),
    4: () => (checksum = reader.integer()),
    5: first,
    7: first,
    8: () =>
      reader.struct({
        1: () => (values = reader.integer()),
        4: () => (encoding = word(encodings, reader)),
        5: () => (definitionBytes = reader.integer()),
        6: () => (repetitionBytes = reader.integer()),
        7: (field) => (isPacked = reader.boolean(field)),
      }),
  });
  if (type === undefined || unpackedBytes < 0 || packedBytes < 0 || (values < 0 && type !== "INDEX_PAGE"))
    throw new DamagedFile("the header of a page lacks its type, its size or its number of values");
  return {
    type,
    packedBytes,
    unpackedBytes,
    checksum,
    values,
    encoding,
    repetitionBytes,
    definitionBytes,
    isPacked,
    bytes: reader.offset,
  };
}
