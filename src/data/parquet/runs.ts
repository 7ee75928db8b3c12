/**
 * Small numbers as Parquet packs them: levels, indices into a dictionary, and booleans. Runs of one
 * value alternate with groups of eight values, each of `width` bits.
 */
import { DamagedFile } from "../columnar/damage.ts";

/**
 * The next `count` numbers. A run that goes on beyond them is cut, whatever its length says.
 * @throws DamagedFile
 */
export function readRuns(bytes: Uint8Array, width: number, count: number): Uint32Array {
  const numbers = new Uint32Array(count);
  if (width === 0) return numbers;
  if (width > 32) throw new DamagedFile(`numbers of ${width} bits`);
  let at = 0;
  const next = () => {
    if (at >= bytes.length) throw new DamagedFile("a run is cut off");
    return bytes[at++];
  };
  for (let done = 0; done < count;) {
    const header = varint(next);
    const isPacked = (header & 1) === 1;
    // A group has eight values.
    const length = isPacked ? 8 * Math.floor(header / 2) : Math.floor(header / 2);
    const end = Math.min(count, done + length);
    if (length === 0) continue;
    if (isPacked) unpack(next, width, numbers, done, end);
    else numbers.fill(littleEndian(next, Math.ceil(width / 8)), done, end);
    done = end;
  }
  return numbers;
}

function unpack(next: () => number, width: number, numbers: Uint32Array, begin: number, end: number): void {
  let byte = 0;
  let left = 0;
  for (let i = begin; i < end; i++) {
    let value = 0;
    for (let bits = 0; bits < width;) {
      if (left === 0) {
        byte = next();
        left = 8;
      }
      const taken = Math.min(left, width - bits);
      value += (byte & ((1 << taken) - 1)) * 2 ** bits;
      byte >>>= taken;
      left -= taken;
      bits += taken;
    }
    numbers[i] = value;
  }
}

function littleEndian(next: () => number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value += next() * 2 ** (8 * i);
  return value;
}

function varint(next: () => number): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = next();
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new DamagedFile("the length of a run has too many bytes");
}
