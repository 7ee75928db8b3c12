import type { ReaderKernels } from "./reader.ts";

const SLOT_BYTES = 16;
const FEWEST_SLOTS = 32;
const MAX_WORD_BYTES = 2 ** 16 - 1;
/** Words are copied to blocks of so many bytes. */
const BLOCK_BYTES = 1024;

/**
 * Numbers of words, which a kernel finds (words.kernel.as.ts). A word that comes when the tables
 * have no memory left is not added. Then it is not found, which costs time and nothing else.
 */
export class WordTable {
  readonly #kernels: ReaderKernels;
  #address: number | null;
  #slots = FEWEST_SLOTS;
  #words = 0;
  /** The unused part of a block. */
  #free = 0;
  #freeEnd = 0;

  constructor(kernels: ReaderKernels) {
    this.#kernels = kernels;
    this.#address = kernels.allocateTable(FEWEST_SLOTS * SLOT_BYTES);
    if (this.#address !== null) kernels.run.words_clear(this.#address, FEWEST_SLOTS);
  }

  /** Where the slots are, and how many; null if there is no memory for a table. */
  get place(): { readonly address: number; readonly slots: number } | null {
    return this.#address === null ? null : { address: this.#address, slots: this.#slots };
  }

  /** Adds a word that lies in the kernels' memory. */
  add(begin: number, end: number, number: number): void {
    const bytes = end - begin;
    if (this.#address === null || bytes > MAX_WORD_BYTES || !this.#hasRoom(bytes)) return;
    this.#kernels.bytes.copyWithin(this.#free, begin, end);
    this.#kernels.run.words_add(this.#address, this.#slots, this.#free, this.#free + bytes, number);
    this.#free += bytes;
    this.#words++;
  }

  /** Makes room for one more word. */
  #hasRoom(bytes: number): boolean {
    if (2 * this.#words >= this.#slots && !this.#grow()) return false;
    if (this.#freeEnd - this.#free >= bytes) return true;
    const size = Math.max(BLOCK_BYTES, bytes);
    const block = this.#kernels.allocateTable(size);
    if (block === null) return false;
    this.#free = block;
    this.#freeEnd = block + size;
    return true;
  }

  #grow(): boolean {
    const larger = this.#kernels.allocateTable(2 * this.#slots * SLOT_BYTES);
    if (larger === null) return false;
    this.#kernels.run.words_move(this.#address!, this.#slots, larger, 2 * this.#slots);
    this.#address = larger;
    this.#slots *= 2;
    return true;
  }
}
