import { DamagedFile } from "./damage.ts";

/** Bytes that are written once, and copied from what was written before. */
export class Output {
  readonly bytes: Uint8Array<ArrayBuffer>;
  at = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }

  literal(source: Uint8Array, begin: number, length: number): void {
    if (begin + length > source.length) throw new DamagedFile("packed bytes are cut off");
    this.#claim(length);
    this.bytes.set(source.subarray(begin, begin + length), this.at);
    this.at += length;
  }

  /** The copy may overlap what it writes. */
  copy(distance: number, length: number): void {
    if (distance === 0 || distance > this.at) throw new DamagedFile("packed bytes refer to what is not there");
    this.#claim(length);
    for (const end = this.at + length; this.at < end; this.at++) this.bytes[this.at] = this.bytes[this.at - distance];
  }

  #claim(length: number): void {
    if (this.at + length > this.bytes.length) throw new DamagedFile("packed bytes have more bytes than expected");
  }

  finish(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }
}

export function byteOf(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) throw new DamagedFile("packed bytes are cut off");
  return bytes[at];
}

export function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value += byteOf(bytes, at + i) * 2 ** (8 * i);
  return value;
}
