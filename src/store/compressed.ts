import { zstdCompressSync } from "node:zlib";

/**
 * Compressed bytes (zstd). Told the size, it takes tables that fit. Those for any size have most of
 * a megabyte, which must be cleared each time.
 */
export function compressed(bytes: Buffer): Buffer {
  return zstdCompressSync(bytes, { pledgedSrcSize: bytes.byteLength });
}
