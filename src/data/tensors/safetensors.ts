/*
 * Safetensors: eight bytes with the length of a header, the header, which is JSON, and the bytes of
 * the tensors, one after another without gaps, row-major and little-endian.
 *
 *   {"images": {"dtype": "F32", "shape": [1797, 8, 8], "data_offsets": [0, 460032]}}
 */
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { Dtype } from "./dtype.ts";
import { fileBytes, type RawArray } from "./elements.ts";
import { assertCount } from "./tensor-column.ts";

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 2 ** 20;

/** The types of a file, and ours. */
export const dtypes: Readonly<Record<string, Dtype>> = {
  BOOL: "bool",
  U8: "uint8",
  U16: "uint16",
  U32: "uint32",
  U64: "uint64",
  I8: "int8",
  I16: "int16",
  I32: "int32",
  I64: "int64",
  F16: "float16",
  BF16: "bfloat16",
  F32: "float32",
  F64: "float64",
};

/** Whether a file that begins so is one. A text has other bytes in the place of the length. */
export function isSafetensors(start: Buffer): boolean {
  return start.length > LENGTH_BYTES && start[LENGTH_BYTES] === 0x7b && start.readBigUInt64LE() < 2n ** 40n;
}

interface Entry {
  readonly name: string;
  /** As the file has it. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** @throws InvalidDataset, DatasetTooLarge */
export async function* readSafetensors(reader: ByteReader, limitBytes: number): AsyncGenerator<RawArray> {
  const entries = await readEntries(reader);
  assertCount(entries.length);
  for (const { name, dtype, shape, begin, end } of entries) {
    const length = end - begin;
    if (length > limitBytes) throw new DatasetTooLarge(limitBytes);
    const bytes = new ArrayBuffer(length);
    const came = await reader.readInto(new Uint8Array(bytes));
    if (came < length)
      throw new InvalidDataset(
        `The tensor ${JSON.stringify(name)} is cut off: it has ${came} of ${length} bytes.`,
        null,
      );
    yield { name, dtype: dtypes[dtype], shape, isBigEndian: false, isColumnMajor: false, bytes };
  }
  if (!(await reader.isAtEnd())) throw fault("has bytes after its last tensor.");
}

/**
 * What the header says of the tensors, in the order of their bytes, which follow the header without
 * gaps.
 * @throws InvalidDataset
 */
export async function readEntries(reader: ByteReader): Promise<Entry[]> {
  const entries = entriesOf(await headerOf(reader)).toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, dtype, shape, begin, end } of entries) {
    const fault = (message: string) => new InvalidDataset(`The tensor ${JSON.stringify(name)} ${message}`, null);
    const length = shape.reduce((product, dimension) => product * dimension, fileBytes(dtypes[dtype]));
    if (begin !== at) throw fault(`begins at byte ${begin} of the data, where byte ${at} is expected.`);
    if (end - begin !== length) throw fault(`has ${end - begin} bytes, but its shape takes ${length}.`);
    at = end;
  }
  return entries;
}

function fault(message: string): InvalidDataset {
  return new InvalidDataset(`The safetensors file ${message}`, null);
}

async function headerOf(reader: ByteReader): Promise<string> {
  const length = Number((await reader.take(LENGTH_BYTES)).readBigUInt64LE());
  if (length > MAX_HEADER_BYTES) throw fault(`has a header of ${length} bytes; it may have ${MAX_HEADER_BYTES}.`);
  const header = await reader.take(length);
  if (header.length < length) throw fault("is cut off within its header.");
  return header.toString();
}

function entriesOf(json: string): Entry[] {
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch (error) {
    throw fault(`has a header that is no JSON: ${(error as Error).message}.`);
  }
  const entries = Object.entries(header as object).filter(([name]) => name !== "__metadata__");
  return entries.map(([name, entry]) => entryOf(name, entry));
}

function entryOf(name: string, entry: unknown): Entry {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const fault = (message: string) => new InvalidDataset(`The tensor ${JSON.stringify(name)} ${message}`, null);
  if (typeof dtype !== "string" || !isCounts(shape) || !isCounts(offsets) || offsets.length !== 2)
    throw fault("must have a dtype, a shape and data_offsets of two numbers.");
  if (!Object.hasOwn(dtypes, dtype))
    throw fault(`has the dtype ${JSON.stringify(dtype)}. Save it as one of ${Object.keys(dtypes).join(", ")}.`);
  return { name, dtype, shape, begin: offsets[0], end: offsets[1] };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}
