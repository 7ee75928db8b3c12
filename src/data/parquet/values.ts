/*
 * The values of a page, in each of the encodings of the format: as they are, as differences, as the
 * ends of texts that begin like the one before, or with the bytes of all numbers sorted by place.
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/
 *
 * A few bytes can stand for millions of values, so whatever is larger than a number is made only
 * when it is its turn.
 */
import { DamagedFile } from "../columnar/damage.ts";
import type { Encoding, PhysicalType } from "./metadata.ts";
import { spend, type Room } from "../columnar/room.ts";
import { readRuns } from "./runs.ts";

/** Whole numbers of 64 bits and more are `bigint`s; texts and others are bytes. */
export type RawValue = number | bigint | boolean | Uint8Array;

/**
 * To be read once, from the first value to the last.
 * @param typeLength bytes of a FIXED_LEN_BYTE_ARRAY
 * @throws DamagedFile, here or while the values are read; DatasetTooLarge while they are read
 */
export function readValues(
  bytes: Uint8Array,
  encoding: Encoding,
  type: PhysicalType,
  typeLength: number,
  count: number,
  room: Room,
): Iterable<RawValue> {
  switch (encoding) {
    case "PLAIN":
      return plain(bytes, type, typeLength, count);
    case "RLE":
      // Booleans. The length of the runs comes first.
      return booleans(readRuns(bytes.subarray(4), 1, count));
    case "BYTE_STREAM_SPLIT":
      return plain(joined(bytes, widthOf(type, typeLength), count), type, typeLength, count);
    case "DELTA_BINARY_PACKED": {
      const { values } = readDeltas(bytes, count);
      return type === "INT32" ? Int32Array.from(values, (value) => Number(BigInt.asIntN(32, value))) : values;
    }
    case "DELTA_LENGTH_BYTE_ARRAY": {
      const { values, end } = readDeltas(bytes, count);
      return slices(bytes, end, values);
    }
    case "DELTA_BYTE_ARRAY": {
      const prefixes = readDeltas(bytes, count);
      const rest = bytes.subarray(prefixes.end);
      const suffixes = readDeltas(rest, count);
      return prefixed(prefixes.values, slices(rest, suffixes.end, suffixes.values), room);
    }
    default:
      throw new DamagedFile(`its values have the encoding ${encoding}, which cannot be read`);
  }
}

function widthOf(type: PhysicalType, typeLength: number): number {
  if (type === "INT32" || type === "FLOAT") return 4;
  if (type === "INT96") return 12;
  return type === "FIXED_LEN_BYTE_ARRAY" ? typeLength : 8;
}

function plain(bytes: Uint8Array, type: PhysicalType, typeLength: number, count: number): Iterable<RawValue> {
  if (type === "BYTE_ARRAY") return texts(bytes, count);
  if (type === "BOOLEAN") {
    assertHas(bytes, Math.ceil(count / 8));
    return bits(bytes, count);
  }
  const width = widthOf(type, typeLength);
  assertHas(bytes, count * width);
  if (type === "INT96" || type === "FIXED_LEN_BYTE_ARRAY") return fixed(bytes, width, count);
  // Copied, because numbers must be aligned.
  const { buffer } = new Uint8Array(bytes.subarray(0, count * width));
  if (type === "INT32") return new Int32Array(buffer);
  if (type === "INT64") return new BigInt64Array(buffer);
  return type === "FLOAT" ? new Float32Array(buffer) : new Float64Array(buffer);
}

function* booleans(numbers: Uint32Array): Generator<boolean> {
  for (const number of numbers) yield number === 1;
}

function* bits(bytes: Uint8Array, count: number): Generator<boolean> {
  for (let i = 0; i < count; i++) yield ((bytes[i >> 3] >> (i & 7)) & 1) === 1;
}

function* fixed(bytes: Uint8Array, width: number, count: number): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) yield bytes.subarray(i * width, (i + 1) * width);
}

function assertHas(bytes: Uint8Array, wanted: number): void {
  if (bytes.length < wanted)
    throw new DamagedFile(`a page holds ${bytes.length} bytes of values, and its values take ${wanted}`);
}

/** Each has its length before it. */
function* texts(bytes: Uint8Array, count: number): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (let i = 0; i < count; i++) {
    assertHas(bytes, at + 4);
    const length = view.getUint32(at, true);
    at += 4 + length;
    assertHas(bytes, at);
    yield bytes.subarray(at - length, at);
  }
}

/** The bytes of each number together. */
function joined(bytes: Uint8Array, width: number, count: number): Uint8Array {
  assertHas(bytes, width * count);
  const values = new Uint8Array(width * count);
  for (let i = 0; i < count; i++)
    for (let byte = 0; byte < width; byte++) values[i * width + byte] = bytes[byte * count + i];
  return values;
}

function* slices(bytes: Uint8Array, begin: number, lengths: BigInt64Array): Generator<Uint8Array> {
  let at = begin;
  for (const length of lengths) {
    if (length < 0n || length > bytes.length - at) throw new DamagedFile("a text is cut off");
    at += Number(length);
    yield bytes.subarray(at - Number(length), at);
  }
}

/** Each begins with so many bytes of the one before. Those bytes are unpacked ones too. */
function* prefixed(prefixes: BigInt64Array, suffixes: Iterable<Uint8Array>, room: Room): Generator<Uint8Array> {
  let last = new Uint8Array();
  let i = 0;
  for (const suffix of suffixes) {
    const length = Number(prefixes[i++]);
    if (length < 0 || length > last.length) throw new DamagedFile("a text continues one that is shorter");
    spend(room, length);
    const value = new Uint8Array(length + suffix.length);
    value.set(last.subarray(0, length));
    value.set(suffix, length);
    last = value;
    yield value;
  }
}

/**
 * A first value, and then blocks of differences. A block is cut into smaller ones, each with
 * its own number of bits for the difference from the block's least one.
 */
function readDeltas(bytes: Uint8Array, count: number): { values: BigInt64Array; end: number } {
  const reader = new BitReader(bytes);
  const blockSize = Number(reader.varint());
  const parts = Number(reader.varint());
  reader.varint();
  const perPart = blockSize / parts;
  if (parts === 0 || !Number.isInteger(perPart) || perPart % 32 !== 0)
    throw new DamagedFile("differences come in blocks of a wrong size");
  const values = new BigInt64Array(count);
  let value = reader.zigzag();
  let done = 0;
  if (count > 0) values[done++] = value;
  while (done < count) {
    const least = reader.zigzag();
    const widths = Array.from({ length: Math.min(parts, bytes.length) }, () => reader.byte());
    for (const width of widths) {
      if (done === count) break;
      if (width > 64) throw new DamagedFile(`differences of ${width} bits`);
      const end = reader.at + (perPart * width) / 8;
      for (let i = 0; i < perPart && done < count; i++) {
        value = BigInt.asIntN(64, value + least + reader.bits(width));
        values[done++] = value;
      }
      // The last block is full, although its last differences mean nothing.
      reader.jump(end);
    }
  }
  return { values, end: reader.at };
}

/** Numbers of a few bits, the lowest bit first. */
class BitReader {
  readonly #bytes: Uint8Array;
  at = 0;
  #bit = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    if (this.at >= this.#bytes.length) throw new DamagedFile("differences are cut off");
    return this.#bytes[this.at++];
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new DamagedFile("a difference has too many bytes");
  }

  zigzag(): bigint {
    const value = this.varint();
    return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
  }

  bits(width: number): bigint {
    let low = 0;
    let high = 0;
    for (let done = 0; done < width;) {
      if (this.at >= this.#bytes.length) throw new DamagedFile("differences are cut off");
      const taken = Math.min(8 - this.#bit, width - done, done < 32 ? 32 - done : 64);
      const part = (this.#bytes[this.at] >> this.#bit) & ((1 << taken) - 1);
      if (done < 32) low += part * 2 ** done;
      else high += part * 2 ** (done - 32);
      done += taken;
      this.#bit += taken;
      if (this.#bit === 8) [this.#bit, this.at] = [0, this.at + 1];
    }
    return high === 0 ? BigInt(low) : BigInt(low) + (BigInt(high) << 32n);
  }

  jump(at: number): void {
    if (at > this.#bytes.length) throw new DamagedFile("differences are cut off");
    this.at = at;
    this.#bit = 0;
  }
}
