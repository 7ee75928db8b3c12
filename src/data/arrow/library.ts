/** apache-arrow with what it needs to unpack buffers. It is loaded for an Arrow file only. */
import { zstdDecompressSync } from "node:zlib";
import { CompressionType, compressionRegistry, RecordBatchReader } from "apache-arrow";
import { unpackLz4Frame } from "../columnar/lz4.ts";

/** Unpacks as much as the buffer says, which was checked. Its length stands before its bytes. */
function codec(unpack: (packed: Uint8Array, length: number) => Uint8Array) {
  return {
    decode(packed: Uint8Array): Uint8Array {
      const length = Number(new DataView(packed.buffer, packed.byteOffset - 8, 8).getBigInt64(0, true));
      // Copied, because numbers must be aligned.
      return length === 0 ? new Uint8Array() : new Uint8Array(unpack(packed, length));
    },
  };
}

compressionRegistry.set(CompressionType.LZ4_FRAME, codec(unpackLz4Frame));
compressionRegistry.set(
  CompressionType.ZSTD,
  codec((packed, maxOutputLength) => zstdDecompressSync(packed, { maxOutputLength })),
);

export { RecordBatchReader };
