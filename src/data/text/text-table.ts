/*
 * A list of different texts, each with its number. The number of a text is found by a hash of its
 * bytes. The hash is another one for each table: whoever knew it could make a file whose texts all
 * have the same, and that would take hours.
 */
import { Texts } from "./texts.ts";

const FREE = 0xffff_ffff;
const FIRST_TEXTS = 1024;
const FIRST_BYTES = 2 ** 14;

export class TextTable {
  readonly #secrets = crypto.getRandomValues(new Uint32Array(3));
  /** The number of a text, at a place that follows from its hash. */
  #slots = new Uint32Array(2 * FIRST_TEXTS).fill(FREE);
  /** By number: the hash of the text, and where it ends. */
  #hashes = new Uint32Array(FIRST_TEXTS);
  #ends = new Uint32Array(FIRST_TEXTS);
  #bytes = new Uint8Array(FIRST_BYTES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Those of all texts together. */
  get bytes(): number {
    return this.#count === 0 ? 0 : this.#ends[this.#count - 1];
  }

  /** The number of a text. A text that is new gets the next number. */
  add(from: Uint8Array, begin: number, end: number): number {
    const hash = this.#hash(from, begin, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let found = this.#slots[slot]; found !== FREE; found = this.#slots[slot]) {
      if (this.#hashes[found] === hash && this.#is(found, from, begin, end)) return found;
      slot = (slot + 1) & mask;
    }
    const code = this.#append(from, begin, end, hash);
    this.#slots[slot] = code;
    if (2 * this.#count > this.#slots.length) this.#spread();
    return code;
  }

  texts(): Texts {
    return new Texts(this.#ends.subarray(0, this.#count), this.#bytes.subarray(0, this.bytes));
  }

  /**
   * Each word of four bytes is multiplied by two secrets, with a rotation between them. So nobody
   * can say which change of one word makes up for a change of another.
   */
  #hash(from: Uint8Array, begin: number, end: number): number {
    const [start, factor, other] = this.#secrets;
    let hash = start ^ (end - begin);
    for (let at = begin; at < end; at += 4) {
      let word = from[at];
      if (at + 1 < end) word |= from[at + 1] << 8;
      if (at + 2 < end) word |= from[at + 2] << 16;
      if (at + 3 < end) word |= from[at + 3] << 24;
      word = Math.imul(word, factor | 1);
      hash ^= Math.imul((word << 15) | (word >>> 17), other | 1);
      hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0x2545f491) | 0;
    }
    hash = Math.imul(hash ^ (hash >>> 16), factor | 1);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  #is(code: number, from: Uint8Array, begin: number, end: number): boolean {
    const own = code === 0 ? 0 : this.#ends[code - 1];
    if (this.#ends[code] - own !== end - begin) return false;
    for (let i = begin; i < end; i++) if (from[i] !== this.#bytes[own + i - begin]) return false;
    return true;
  }

  #append(from: Uint8Array, begin: number, end: number, hash: number): number {
    const code = this.#count++;
    const at = code === 0 ? 0 : this.#ends[code - 1];
    const last = at + end - begin;
    if (code === this.#ends.length) {
      this.#ends = larger(this.#ends, new Uint32Array(2 * code));
      this.#hashes = larger(this.#hashes, new Uint32Array(2 * code));
    }
    if (last > this.#bytes.length)
      this.#bytes = larger(this.#bytes, new Uint8Array(Math.max(last, 2 * this.#bytes.length)));
    for (let i = begin; i < end; i++) this.#bytes[at + i - begin] = from[i];
    this.#ends[code] = last;
    this.#hashes[code] = hash;
    return code;
  }

  #spread(): void {
    const mask = 2 * this.#slots.length - 1;
    this.#slots = new Uint32Array(mask + 1).fill(FREE);
    for (let code = 0; code < this.#count; code++) {
      let slot = this.#hashes[code] & mask;
      while (this.#slots[slot] !== FREE) slot = (slot + 1) & mask;
      this.#slots[slot] = code;
    }
  }
}

function larger<T extends Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
