/** Unpacks a page. Its header says how many bytes it has unpacked, and more are never made. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { unpackLz4Block } from "../columnar/lz4.ts";
import { byteOf, littleEndian, Output } from "../columnar/output.ts";
import { InvalidDataset } from "../dataset.ts";
import { DamagedFile } from "../columnar/damage.ts";
import type { Codec } from "./metadata.ts";

type Unpack = (packed: Uint8Array, length: number) => Uint8Array;

const unpackers: Partial<Record<Codec, Unpack>> = {
  UNCOMPRESSED: (packed) => packed,
  SNAPPY: unpackSnappy,
  GZIP: (packed, maxOutputLength) => gunzipSync(packed, { maxOutputLength }),
  ZSTD: (packed, maxOutputLength) => zstdDecompressSync(packed, { maxOutputLength }),
  BROTLI: (packed, maxOutputLength) => brotliDecompressSync(packed, { maxOutputLength }),
  LZ4_RAW: unpackLz4Block,
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
