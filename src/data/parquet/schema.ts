/** The columns of a Parquet file: what their values are, and where their chunks lie. */
import { columnFault, DamagedFile, nestedFault, typeFault } from "../columnar/damage.ts";
import * as kinds from "../columnar/kinds.ts";
import { checkNames } from "../columnar/names.ts";
import type { Codec, ColumnChunk, FileMetadata, PhysicalType, SchemaElement } from "./metadata.ts";
import type { RawValue } from "./values.ts";

/** Where the pages of a column in one row group lie, and what they hold. */
export interface ChunkPlace {
  readonly type: PhysicalType;
  /** Bytes of a value, if all have the same. */
  readonly typeLength: number;
  readonly codec: Codec;
  readonly isNullable: boolean;
  readonly begin: number;
  readonly end: number;
}

type Kind = kinds.ColumnKind<RawValue>;

export interface FileColumn extends Kind {
  readonly name: string;
  /** One for each row group. */
  readonly chunks: readonly ChunkPlace[];
}

/**
 * The columns, if none of them is nested.
 * @throws InvalidDataset, DamagedFile
 */
export function columnsOf({ schema, groups }: FileMetadata): FileColumn[] {
  const [root, ...elements] = schema;
  // The parts of a nested column come after it, so the first one that is nested is a column.
  const nested = elements.find((element) => nestedName(element) !== null);
  if (nested !== undefined) throw nestedFault(nested.name, nestedName(nested)!);
  if (elements.length !== root?.children) throw new DamagedFile("its schema is not complete");
  checkNames(
    "Parquet",
    elements.map(({ name }) => name),
  );
  return elements.map((element, index) => {
    const { name } = element;
    const kind = kindOf(element);
    if (kind === null) throw typeFault(name, element.logical?.type ?? element.converted ?? element.type!);
    return { name, ...kind, chunks: groups.map(({ columns }) => placeOf(columns[index], element)) };
  });
}

/** What kind of nesting it is; null if the column is flat. */
function nestedName({ type, converted, logical, repetition }: SchemaElement): string | null {
  if (type !== undefined && repetition !== "REPEATED") return null;
  if (logical?.type === "MAP" || converted === "MAP") return "a map";
  return logical?.type === "LIST" || converted === "LIST" || type !== undefined
    ? "a list"
    : "a record of several fields";
}

function placeOf(
  chunk: ColumnChunk | undefined,
  { name, type, typeLength = 0, repetition }: SchemaElement,
): ChunkPlace {
  if (chunk?.isEncrypted) throw columnFault(name, "is encrypted. Write the file without encryption.");
  if (chunk === undefined || chunk.isElsewhere)
    throw new DamagedFile(`the column ${JSON.stringify(name)} is not in it`);
  if (chunk.type !== type || chunk.path[0] !== name)
    throw new DamagedFile("the columns of a row group are not those of the schema");
  if (typeLength < 0) throw new DamagedFile("values have a negative length");
  const { codec, begin, end } = chunk;
  return { type, typeLength, codec, isNullable: repetition !== "REQUIRED", begin, end };
}

/** Null: such values cannot be read. */
function kindOf(element: SchemaElement): Kind | null {
  // The type of the file says which of the raw values they are.
  return anyKindOf(element) as Kind | null;
}

function anyKindOf({ name, type, converted, logical, scale = 0 }: SchemaElement): kinds.ColumnKind<never> | null {
  if (converted === "INTERVAL" || converted === "BSON" || logical?.type === "BSON") return null;
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return kinds.decimals(unscaled, logical?.scale ?? scale);
  const isUnsigned = logical?.isSigned === false || converted === "UINT_32" || converted === "UINT_64";
  switch (type) {
    case "BOOLEAN":
      return kinds.boolean;
    case "FLOAT":
    case "DOUBLE":
      return kinds.number;
    case "INT32":
      if (converted === "DATE" || logical?.type === "DATE") return kinds.days;
      return isUnsigned ? unsigned : kinds.number;
    case "INT64":
      if (logical?.type === "TIMESTAMP") return kinds.times(kinds.PER_MS[logical.unit ?? "MILLIS"]);
      if (converted === "TIMESTAMP_MILLIS") return kinds.times(kinds.PER_MS.MILLIS);
      if (converted === "TIMESTAMP_MICROS") return kinds.times(kinds.PER_MS.MICROS);
      return isUnsigned ? longUnsigned : kinds.wholes;
    case "INT96":
      return julian;
    case "BYTE_ARRAY":
      return kinds.texts(name);
    case "FIXED_LEN_BYTE_ARRAY":
      if (logical?.type === "FLOAT16") return half;
      return logical?.type === "UUID" ? kinds.uuids : null;
    default:
      return null;
  }
}

const unsigned: kinds.ColumnKind<number> = { type: "numeric", valueOf: (raw) => raw >>> 0 };
const longUnsigned: kinds.ColumnKind<bigint> = {
  type: "numeric",
  valueOf: (raw) => kinds.wholes.valueOf(BigInt.asUintN(64, raw)),
};
const half: kinds.ColumnKind<Uint8Array> = {
  type: "numeric",
  valueOf: (raw) => kinds.halves.valueOf(raw[0] + 256 * raw[1]),
};
/** The nanoseconds since midnight, and the day of the Julian calendar. */
const julian: kinds.ColumnKind<Uint8Array> = {
  type: "date",
  valueOf: (raw) => {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const day = BigInt(view.getInt32(8, true) - 2_440_588);
    return kinds.milliseconds(day * 86_400_000_000_000n + view.getBigInt64(0, true), kinds.PER_MS.NANOS);
  },
};

function unscaled(raw: number | bigint | Uint8Array): bigint {
  return raw instanceof Uint8Array ? kinds.bigEndian(raw) : BigInt(raw);
}
