/*
 * The texts of columns that list no classes, in the order of the rows, so that a model can learn
 * from them. They are kept in memory until the table is read, in UTF-8, up to a number of bytes for
 * all columns of a table together. If there are more, the column with the most bytes keeps none.
 * That is decided as the rows are read, so it follows from the table alone.
 */
import type { MissingCells } from "./cell-word.ts";
import { Texts } from "../text/texts.ts";

/** The room that the columns of a table share. */
export class TextRoom {
  readonly #columns = new Set<KeptTexts>();
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  enter(texts: KeptTexts): void {
    this.#columns.add(texts);
  }

  leave(texts: KeptTexts): void {
    if (this.#columns.delete(texts)) this.#left += texts.bytes;
  }

  /** Whether no column loses its texts for so many bytes more, whatever their order. */
  hasRoomFor(bytes: number): boolean {
    return this.#left >= bytes;
  }

  /** Makes room for more bytes of one of the columns. */
  take(bytes: number): void {
    this.#left -= bytes;
    while (this.#left < 0) {
      const longest = [...this.#columns].reduce((most, texts) => (texts.bytes > most.bytes ? texts : most));
      this.#columns.delete(longest);
      this.#left += longest.bytes;
      longest.drop();
    }
  }
}

export class KeptTexts {
  readonly #room: TextRoom;
  readonly #missing: MissingCells;
  #ends = new Uint32Array(1024);
  #rows = 0;
  /** Null: they were too long. */
  #bytes: Buffer | null = Buffer.alloc(4096);
  #end = 0;
  /** The rows of cells that are missing if all others are of one kind. */
  readonly #words: number[] = [];

  constructor(room: TextRoom, missing: MissingCells) {
    this.#room = room;
    this.#missing = missing;
    room.enter(this);
  }

  get bytes(): number {
    return this.#end;
  }

  drop(): void {
    this.#bytes = null;
  }

  get areKept(): boolean {
    return this.#bytes !== null;
  }

  add(cell: string): void {
    if (this.#bytes === null) return;
    const missing = this.#missing.is(cell);
    if (missing === "besideValues") this.#words.push(this.#rows);
    const length = missing === "always" ? 0 : Buffer.byteLength(cell);
    const bytes = this.#grown(1, length);
    if (bytes === null) return;
    if (length > 0) bytes.write(cell, this.#end);
    this.#end += length;
    this.#ends[this.#rows++] = this.#end;
  }

  /** Adds texts that lie one after the other. `ends`: where each one ends among them. */
  addAll(texts: Uint8Array, ends: Uint32Array): void {
    const bytes = this.#grown(ends.length, texts.length);
    if (bytes === null) return;
    bytes.set(texts, this.#end);
    for (let i = 0; i < ends.length; i++) this.#ends[this.#rows + i] = this.#end + ends[i];
    this.#rows += ends.length;
    this.#end += texts.length;
  }

  /** The bytes, with room for more; null if there is none. */
  #grown(rows: number, length: number): Buffer | null {
    this.#room.take(length);
    if (this.#bytes === null) return null;
    const end = this.#end + length;
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], Math.max(end, 2 * this.#bytes.length));
    if (this.#rows + rows > this.#ends.length) {
      const grown = new Uint32Array(Math.max(this.#rows + rows, 2 * this.#rows));
      grown.set(this.#ends);
      this.#ends = grown;
    }
    return this.#bytes;
  }

  /** Called after the last cell. */
  end(areWordsMissing: boolean): void {
    if (!areWordsMissing) this.#words.length = 0;
  }

  /** Null if they were too long. To be asked once all columns of the table have ended. */
  finish(): Texts | null {
    if (this.#bytes === null) return null;
    const texts = new Texts(this.#ends.subarray(0, this.#rows), this.#bytes.subarray(0, this.#end));
    return this.#words.length === 0 ? texts : texts.without(this.#words);
  }
}
