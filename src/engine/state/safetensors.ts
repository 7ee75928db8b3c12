import { size } from "../member/shape.ts";

/*
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the
 * tensors' bytes, row-major and little-endian. Files that we write are canonical, so that equal
 * tensors give equal files: names in bytewise order, no gaps, header padded with spaces to 8 bytes,
 * `__metadata__` first.
 */

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Little-endian. */
  readonly bytes: Uint8Array;
  /** Default: float32. */
  readonly dtype?: Dtype;
}

/** The types of our tensors, and the bytes of an element. Weights are F32, counts are I64. */
const ELEMENT_BYTES = { F32: 4, I64: 8 } as const;
export type Dtype = keyof typeof ELEMENT_BYTES;

export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const MAX_HEADER_BYTES = 100 * 2 ** 20;

/** Tensors by the bytes of their names. ASCII's are in the order of its characters. */
function sortedByName(tensors: readonly Tensor[]): Tensor[] {
  const isAscii = tensors.every(({ name }) => ASCII.test(name));
  if (isAscii) return [...tensors].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return [...tensors].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

const ASCII = /^[\0-\x7f]*$/;

/** The file's bytes, on an ArrayBuffer of their own. */
export function writeSafetensors(
  tensors: readonly Tensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const sorted = sortedByName(tensors);
  // Written entry by entry: an object would move names that look like integers to the front.
  const entries = [`"__metadata__":${JSON.stringify(metadata)}`];
  let end = 0;
  for (const { name, shape, bytes, dtype = "F32" } of sorted) {
    const header = { dtype, shape, data_offsets: [end, end + bytes.byteLength] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(header)}`);
    end += bytes.byteLength;
  }
  const text = Buffer.from(`{${entries.join(",")}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8 + text.length, 8 + headerBytes);
  file.set(text, 8);
  let at = 8 + headerBytes;
  for (const { bytes } of sorted) {
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}

export interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Readonly<Record<string, HeaderEntry>>;
  /** Where the tensors' bytes begin. */
  readonly start: number;
}

/**
 * Reads the header of a file. `file` may be only its beginning, as long as it has the whole header.
 * @throws Error saying what is wrong with it.
 */
export function readHeader(file: Uint8Array): SafetensorsHeader {
  if (file.byteLength < 8) throw new Error("not a safetensors file: shorter than its header's length");
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const start = 8 + headerBytes;
  if (headerBytes > MAX_HEADER_BYTES || start > file.byteLength)
    throw new Error("not a safetensors file: its header ends after the file");
  const header = JSON.parse(Buffer.from(file.subarray(8, start)).toString()) as Record<string, unknown>;
  const { __metadata__: metadata = {}, ...tensors } = header;
  return { metadata, tensors, start } as SafetensorsHeader;
}

/**
 * Reads a file of our tensors; their bytes are views of `file`.
 * @throws Error saying what is wrong with it.
 */
export function readSafetensors(file: Uint8Array): SafetensorsFile {
  const { metadata, tensors: entries, start } = readHeader(file);
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    const bytes = file.subarray(start + data_offsets[0], start + data_offsets[1]);
    if (!isDtype(dtype)) throw new Error(`tensor ${name} is ${dtype}, not F32 or I64`);
    const wanted = size(shape) * ELEMENT_BYTES[dtype];
    if (bytes.byteLength !== wanted)
      throw new Error(`tensor ${name} has ${bytes.byteLength} bytes, but its shape wants ${wanted}`);
    tensors.set(name, { name, shape, bytes, dtype });
  }
  return { metadata, tensors };
}

function isDtype(dtype: string): dtype is Dtype {
  return Object.hasOwn(ELEMENT_BYTES, dtype);
}
