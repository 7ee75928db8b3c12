/** The columns of an Arrow file: what their values are, and where they lie in a batch. */
import type { Data, DataType, Field } from "apache-arrow";
import { DateUnit, Precision, TimeUnit, Type } from "apache-arrow/enum";
import { entry } from "../columnar/builder.ts";
import { columnFault, DamagedFile, typeFault } from "../columnar/damage.ts";
import { MAX_VALUES } from "../columnar/room.ts";
import * as kinds from "../columnar/kinds.ts";

export interface ArrowColumn {
  readonly name: string;
  readonly type: kinds.ColumnKind<never>["type"];
  /** Of a batch: the value of each row, or null. */
  readonly valuesOf: (data: Data) => (row: number) => kinds.Value | null;
}

/** What a type has depends on its id. */
interface AnyType extends DataType {
  readonly bitWidth: number;
  readonly byteWidth: number;
  readonly precision: Precision;
  readonly scale: number;
  readonly unit: DateUnit | TimeUnit;
  readonly dictionary: AnyType;
}

/** @throws InvalidDataset */
export function columnOf(field: Field): ArrowColumn {
  const { name } = field;
  const type: AnyType = field.type;
  const isUuid = field.metadata.get("ARROW:extension:name") === "arrow.uuid";
  if (type.typeId !== Type.Dictionary) {
    const kind = kindOf(name, type, isUuid);
    return { name, type: kind.type, valuesOf: (data) => valuesOf(kind, data) };
  }
  const kind = kindOf(name, type.dictionary, isUuid);
  const known = new Map<unknown, (kinds.Value | null)[]>();
  return { name, type: kind.type, valuesOf: (data) => coded(kind, data, known) };
}

/** Each batch may have another dictionary; most have the same. */
function coded(kind: Kind, data: Data, known: Map<unknown, (kinds.Value | null)[]>) {
  const { dictionary } = data;
  if (dictionary === undefined) throw new DamagedFile("its dictionary is missing");
  if (dictionary.length > MAX_VALUES) throw new DamagedFile(`its dictionary grows to ${dictionary.length} values`);
  const entries = known.get(dictionary) ?? dictionary.data.flatMap((part) => all(valuesOf(kind, part), part.length));
  known.clear();
  known.set(dictionary, entries);
  const { isValid, rawAt } = rawValues(data);
  return (row: number) => (isValid(row) ? entry(entries, Number(rawAt(row))) : null);
}

function all<T>(valueAt: (row: number) => T, rows: number): T[] {
  return Array.from({ length: rows }, (_, row) => valueAt(row));
}

type Kind = kinds.ColumnKind<never>;

function valuesOf(kind: Kind, data: Data): (row: number) => kinds.Value | null {
  const { isValid, rawAt } = rawValues(data);
  return (row) => (isValid(row) ? kind.valueOf(rawAt(row) as never) : null);
}

const unitsPerMs = {
  [TimeUnit.MILLISECOND]: kinds.PER_MS.MILLIS,
  [TimeUnit.MICROSECOND]: kinds.PER_MS.MICROS,
  [TimeUnit.NANOSECOND]: kinds.PER_MS.NANOS,
};
const seconds: kinds.ColumnKind<bigint> = { type: "date", valueOf: (raw) => Number(raw * 1000n) };

function kindOf(name: string, type: AnyType, isUuid: boolean): Kind {
  switch (type.typeId) {
    case Type.Null:
      return kinds.number;
    case Type.Bool:
      return kinds.boolean;
    case Type.Int:
    case Type.Time:
      return type.bitWidth === 64 ? kinds.wholes : kinds.number;
    case Type.Duration:
      return kinds.wholes;
    case Type.Float:
      return type.precision === Precision.HALF ? kinds.halves : kinds.number;
    case Type.Decimal:
      return kinds.decimals(littleEndian, type.scale);
    case Type.Date:
      return type.unit === DateUnit.DAY ? kinds.days : kinds.times(kinds.PER_MS.MILLIS);
    case Type.Timestamp:
      return type.unit === TimeUnit.SECOND ? seconds : kinds.times(unitsPerMs[type.unit as keyof typeof unitsPerMs]);
    case Type.Utf8:
    case Type.LargeUtf8:
    case Type.Utf8View:
    case Type.Binary:
    case Type.LargeBinary:
    case Type.BinaryView:
      return kinds.texts(name);
    case Type.FixedSizeBinary:
      if (isUuid && type.byteWidth === 16) return kinds.uuids;
      throw typeFault(name, "FixedSizeBinary");
    default:
      throw columnFault(name, "cannot be read. Leave it out.");
  }
}

/** Of a decimal number, the lowest word first. */
function littleEndian(words: Uint32Array): bigint {
  let value = 0n;
  for (let i = words.length - 1; i >= 0; i--) value = (value << 32n) | BigInt(words[i]);
  return BigInt.asIntN(32 * words.length, value);
}

interface RawValues {
  readonly isValid: (row: number) => boolean;
  /** A number, or bytes. Only of rows that are valid. */
  readonly rawAt: (row: number) => unknown;
}

/** @throws DamagedFile, here or for a row */
function rawValues(data: Data): RawValues {
  const { length, stride, values, nullBitmap, typeId } = data;
  if (typeId === Type.Null) return { isValid: () => false, rawAt: () => null };
  const isValid = validity(nullBitmap, length);
  const assertHas = (wanted: number, has: number) => {
    if (has < wanted) throw new DamagedFile(`a buffer holds ${has} values, and there are ${wanted} rows`);
  };
  switch (typeId) {
    case Type.Bool:
      assertHas(length, 8 * values.length);
      return { isValid, rawAt: (row) => ((values[row >> 3] >> (row & 7)) & 1) === 1 };
    case Type.Utf8:
    case Type.Binary:
    case Type.LargeUtf8:
    case Type.LargeBinary:
      if (length > 0) assertHas(length + 1, data.valueOffsets.length);
      return {
        isValid,
        rawAt: (row) => slice(values, Number(data.valueOffsets[row]), Number(data.valueOffsets[row + 1])),
      };
    case Type.Utf8View:
    case Type.BinaryView:
      assertHas(length, values.length / 16);
      return { isValid, rawAt: viewed(values, data.variadicBuffers) };
    case Type.Decimal:
    case Type.FixedSizeBinary:
      assertHas(length, values.length / stride);
      return { isValid, rawAt: (row) => values.subarray(row * stride, (row + 1) * stride) };
    default:
      assertHas(length, values.length);
      return { isValid, rawAt: (row) => values[row] };
  }
}

function validity(bitmap: Uint8Array | undefined, length: number): (row: number) => boolean {
  if (bitmap === undefined || bitmap.length === 0) return () => true;
  if (bitmap.length * 8 < length) throw new DamagedFile("the marks of missing values are cut off");
  return (row) => ((bitmap[row >> 3] >> (row & 7)) & 1) === 1;
}

function slice(bytes: Uint8Array, begin: number, end: number): Uint8Array {
  if (!(begin >= 0 && begin <= end && end <= bytes.length)) throw new DamagedFile("a text is cut off");
  return bytes.subarray(begin, end);
}

/** A short text lies in its view. Of a longer one the view has the length, buffer and place. */
function viewed(views: Uint8Array, buffers: readonly Uint8Array[]): (row: number) => Uint8Array {
  const view = new DataView(views.buffer, views.byteOffset, views.byteLength);
  return (row) => {
    const at = 16 * row;
    const length = view.getInt32(at, true);
    if (length <= 12) return slice(views, at + 4, at + 4 + length);
    const begin = view.getInt32(at + 12, true);
    return slice(entry(buffers, view.getInt32(at + 8, true)), begin, begin + length);
  };
}
