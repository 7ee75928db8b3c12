/** Unpacks a page. Its header says how many bytes it has unpacked, and more are never made. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { InvalidDataset } from "../dataset.ts";
import { DamagedFile } from "./damaged.ts";
import type { Codec } from "./metadata.ts";

type Unpack = (packed: Uint8Array, length: number) => Uint8Array;

const unpackers: Partial<Record<Codec, Unpack>> = {
  UNCOMPRESSED: (packed) => packed,
  SNAPPY: unpackSnappy,
  GZIP: (packed, maxOutputLength) => gunzipSync(packed, { maxOutputLength }),
  ZSTD: (packed, maxOutputLength) => zstdDecompressSync(packed, { maxOutputLength }),
  BROTLI: (packed, maxOutputLength) => brotliDecompressSync(packed, { maxOutputLength }),
  LZ4_RAW: unpackLz4,
};

/** @throws InvalidDataset, DamagedFile, or an Error of zlib */
export function unpackPage(packed: Uint8Array, codec: Codec, length: number): Uint8Array {
  const unpack = unpackers[codec];
  if (unpack === undefined)
    throw new InvalidDataset(
      `The Parquet file is packed with ${codec}. Write it with one of ${Object.keys(unpackers).join(", ")}.`,
      null,
    );
  // A page of nulls alone may have no values.
  if (length === 0) return new Uint8Array();
  const bytes = unpack(packed, length);
  if (bytes.length !== length) throw new DamagedFile(`a page has ${bytes.length} bytes, and ${length} were expected`);
  return bytes;
}

/** Bytes that are written once, and copied from what was written before. */
class Output {
  readonly bytes: Uint8Array<ArrayBuffer>;
  at = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }

  literal(source: Uint8Array, begin: number, length: number): void {
    if (begin + length > source.length) throw new DamagedFile("a packed page is cut off");
    this.#claim(length);
    this.bytes.set(source.subarray(begin, begin + length), this.at);
    this.at += length;
  }

  /** The copy may overlap what it writes. */
  copy(distance: number, length: number): void {
    if (distance === 0 || distance > this.at) throw new DamagedFile("a packed page refers to what is not there");
    this.#claim(length);
    for (const end = this.at + length; this.at < end; this.at++) this.bytes[this.at] = this.bytes[this.at - distance];
  }

  #claim(length: number): void {
    if (this.at + length > this.bytes.length) throw new DamagedFile("a packed page has more bytes than expected");
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }
}

function byteOf(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) throw new DamagedFile("a packed page is cut off");
  return bytes[at];
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
function unpackSnappy(packed: Uint8Array, length: number): Uint8Array {
  const output = new Output(length);
  let at = 0;
  // The length, which the header of the page says too.
  while (byteOf(packed, at++) >= 0x80);
  while (at < packed.length) {
    const tag = packed[at++];
    const kind = tag & 3;
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59);
      const size = extra === 0 ? (tag >> 2) + 1 : littleEndian(packed, at, extra) + 1;
      output.literal(packed, at + extra, size);
      at += extra + size;
    } else if (kind === 1) {
      output.copy(((tag >> 5) << 8) + byteOf(packed, at), ((tag >> 2) & 7) + 4);
      at += 1;
    } else {
      const width = kind === 2 ? 2 : 4;
      output.copy(littleEndian(packed, at, width), (tag >> 2) + 1);
      at += width;
    }
  }
  return output.finish();
}

/** https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function unpackLz4(packed: Uint8Array, length: number): Uint8Array {
  const output = new Output(length);
  let at = 0;
  const sizeOf = (first: number) => {
    let size = first;
    for (let byte = first === 15 ? 255 : 0; byte === 255; size += byte) byte = byteOf(packed, at++);
    return size;
  };
  while (at < packed.length) {
    const token = packed[at++];
    const literals = sizeOf(token >> 4);
    output.literal(packed, at, literals);
    at += literals;
    // The last sequence has literals alone.
    if (at === packed.length) break;
    const distance = littleEndian(packed, at, 2);
    at += 2;
    output.copy(distance, sizeOf(token & 15) + 4);
  }
  return output.finish();
}

function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value += byteOf(bytes, at + i) * 2 ** (8 * i);
  return value;
}
