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

  add(cell: string): void {
    if (this.#bytes === null) return;
    const missing = this.#missing.is(cell);
    if (missing === "besideValues") this.#words.push(this.#rows);
    const length = missing === "always" ? 0 : Buffer.byteLength(cell);
    const end = this.#end + length;
    this.#room.take(length);
    if (this.#bytes === null) return;
    if (end > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], Math.max(end, 2 * this.#bytes.length));
    if (length > 0) this.#bytes.write(cell, this.#end);
    if (this.#rows === this.#ends.length) {
      const grown = new Uint32Array(2 * this.#rows);
      grown.set(this.#ends);
      this.#ends = grown;
    }
    this.#end = end;
    this.#ends[this.#rows++] = end;
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
