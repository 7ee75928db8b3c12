/** The columns of a Parquet file: what their values are, and where their chunks lie. */
import { InvalidDataset, MAX_COLUMNS, MAX_NAME_CHARACTERS, MAX_NAME_LENGTH } from "../dataset.ts";
import { halfOf } from "../tensors/elements.ts";
import { DamagedFile } from "./damaged.ts";
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

/**
 * What a column becomes, and how a value of the file becomes a number or a text of it. A whole
 * number of more than 53 bits becomes a `bigint`.
 */
export interface ColumnKind {
  readonly type: "numeric" | "date" | "boolean" | "categorical";
  readonly valueOf: (raw: RawValue) => number | bigint | string;
}

export interface FileColumn extends ColumnKind {
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
  if (nested !== undefined)
    throw fault(
      nested.name,
      `is nested (${nestedName(nested)}). Only flat columns can be read: take it apart, or leave it out.`,
    );
  if (elements.length !== root?.children) throw new DamagedFile("its schema is not complete");
  checkNames(elements.map(({ name }) => name));
  return elements.map((element, index) => {
    const { name } = element;
    const kind = kindOf(element);
    if (kind === null) {
      const what = element.logical?.type ?? element.converted ?? element.type;
      throw fault(name, `holds ${what}, which cannot be read. Write it as numbers or texts, or leave it out.`);
    }
    return { name, ...kind, chunks: groups.map(({ columns }) => placeOf(columns[index], element)) };
  });
}

function fault(name: string, message: string): InvalidDataset {
  return new InvalidDataset(`The column ${JSON.stringify(name)} ${message}`, null);
}

function checkNames(names: readonly string[]): void {
  const wrong = (message: string) => new InvalidDataset(message, null);
  if (names.length === 0) throw wrong("The Parquet file has no columns.");
  if (names.length > MAX_COLUMNS)
    throw wrong(`The Parquet file has ${names.length} columns; a dataset may have ${MAX_COLUMNS}.`);
  if (names.reduce((sum, name) => sum + name.length, 0) > MAX_NAME_CHARACTERS)
    throw wrong(`The names of all columns have more than ${MAX_NAME_CHARACTERS} characters together: shorten them.`);
  for (const [i, name] of names.entries()) {
    if (name === "") throw wrong(`Column ${i + 1} has no name. Name it.`);
    if (name.length > MAX_NAME_LENGTH)
      throw wrong(`The name of column ${i + 1} has more than ${MAX_NAME_LENGTH} characters: shorten it.`);
  }
  const seen = new Set<string>();
  const twice = names.find((name) => seen.size === seen.add(name).size);
  if (twice !== undefined) throw wrong(`Two columns are named ${JSON.stringify(twice)}. Rename one of them.`);
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
  if (chunk?.isEncrypted) throw fault(name, "is encrypted. Write the file without encryption.");
  if (chunk === undefined || chunk.isElsewhere)
    throw new DamagedFile(`the column ${JSON.stringify(name)} is not in it`);
  if (chunk.type !== type || chunk.path[0] !== name)
    throw new DamagedFile("the columns of a row group are not those of the schema");
  if (typeLength < 0) throw new DamagedFile("values have a negative length");
  const { codec, begin, end } = chunk;
  return { type, typeLength, codec, isNullable: repetition !== "REQUIRED", begin, end };
}

const number: ColumnKind = { type: "numeric", valueOf: Number };
/** Null: such values cannot be read. */
function kindOf({ name, type, converted, logical, scale = 0 }: SchemaElement): ColumnKind | null {
  if (converted === "INTERVAL" || converted === "BSON" || logical?.type === "BSON") return null;
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") {
    const digits = logical?.scale ?? scale;
    return { type: "numeric", valueOf: (raw) => decimal(raw as number | bigint | Uint8Array, digits) };
  }
  const isUnsigned = logical?.isSigned === false || converted === "UINT_32" || converted === "UINT_64";
  switch (type) {
    case "BOOLEAN":
      return { type: "boolean", valueOf: String };
    case "FLOAT":
    case "DOUBLE":
      return number;
    case "INT32":
      if (converted === "DATE" || logical?.type === "DATE")
        return { type: "date", valueOf: (raw) => Number(raw) * DAY_MS };
      return isUnsigned ? { type: "numeric", valueOf: (raw) => Number(raw) >>> 0 } : number;
    case "INT64":
      if (logical?.type === "TIMESTAMP") return times(PER_MS[logical.unit ?? "MILLIS"]);
      if (converted === "TIMESTAMP_MILLIS") return times(PER_MS.MILLIS);
      if (converted === "TIMESTAMP_MICROS") return times(PER_MS.MICROS);
      return {
        type: "numeric",
        valueOf: (raw) => exact(isUnsigned ? BigInt.asUintN(64, raw as bigint) : (raw as bigint)),
      };
    case "INT96":
      return { type: "date", valueOf: (raw) => milliseconds(nanosecondsOf(raw as Uint8Array), PER_MS.NANOS) };
    case "BYTE_ARRAY":
      return { type: "categorical", valueOf: (raw) => utf8(raw as Uint8Array, name) };
    case "FIXED_LEN_BYTE_ARRAY":
      if (logical?.type === "FLOAT16") return { type: "numeric", valueOf: (raw) => half(raw as Uint8Array) };
      return logical?.type === "UUID" ? { type: "categorical", valueOf: (raw) => uuid(raw as Uint8Array) } : null;
    default:
      return null;
  }
}

const DAY_MS = 86_400_000;
const PER_MS = { MILLIS: 1n, MICROS: 1000n, NANOS: 1_000_000n };

function times(perMs: bigint): ColumnKind {
  return { type: "date", valueOf: (raw) => milliseconds(raw as bigint, perMs) };
}

/** As exact as a double can be. */
function milliseconds(units: bigint, perMs: bigint): number {
  return Number(units / perMs) + Number(units % perMs) / Number(perMs);
}

/** From the nanoseconds since midnight, and the day of the Julian calendar. */
function nanosecondsOf(raw: Uint8Array): bigint {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return BigInt(view.getInt32(8, true) - 2_440_588) * 86_400_000_000_000n + view.getBigInt64(0, true);
}

function exact(value: bigint): number | bigint {
  const double = Number(value);
  return Number.isSafeInteger(double) ? double : value;
}

/** The double that is nearest to the decimal number. */
function decimal(raw: number | bigint | Uint8Array, scale: number): number | bigint {
  const unscaled = raw instanceof Uint8Array ? bigEndian(raw) : BigInt(raw);
  if (scale === 0) return exact(unscaled);
  return Number(`${unscaled}e${-scale}`);
}

function bigEndian(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex(bytes)}`));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function uuid(bytes: Uint8Array): string {
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function half(raw: Uint8Array): number {
  return halfOf(raw[0] + 256 * raw[1]);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw fault(name, "holds bytes that are no UTF-8. Write it as texts, or leave it out.");
  }
}
