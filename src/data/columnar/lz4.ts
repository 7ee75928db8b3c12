import { DamagedFile } from "./damage.ts";
import { byteOf, littleEndian, Output } from "./output.ts";

export function unpackLz4Block(packed: Uint8Array, length: number): Uint8Array {
  const output = new Output(length);
  lz4Block(packed, output);
  return output.finish();
}

const MAGIC = 0x184d2204;
const FLAG = { contentSize: 8, blockChecksum: 16, dictionary: 1 };
const IS_UNPACKED = 2 ** 31;

/**
 * A block may copy from those before.
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function unpackLz4Frame(packed: Uint8Array, length: number): Uint8Array {
  if (littleEndian(packed, 0, 4) !== MAGIC) throw new DamagedFile("bytes packed with LZ4 are no frame");
  const flags = byteOf(packed, 4);
  if ((flags & FLAG.dictionary) !== 0) throw new DamagedFile("bytes packed with LZ4 need a dictionary");
  const output = new Output(length);
  let at = 7 + ((flags & FLAG.contentSize) === 0 ? 0 : 8);
  for (;;) {
    const header = littleEndian(packed, at, 4);
    at += 4;
    if (header === 0) return output.finish();
    const size = header % IS_UNPACKED;
    if (at + size > packed.length) throw new DamagedFile("packed bytes are cut off");
    if (header >= IS_UNPACKED) output.literal(packed, at, size);
    else lz4Block(packed.subarray(at, at + size), output);
    at += size + ((flags & FLAG.blockChecksum) === 0 ? 0 : 4);
  }
}

/** https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function lz4Block(packed: Uint8Array, output: Output): void {
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
}
