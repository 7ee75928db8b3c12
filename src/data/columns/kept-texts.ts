/*
 * The texts of columns that list no classes, so that a model can learn from them, and jobs can
 * choose rows by them. They are kept in memory until the table is read, in UTF-8, in a room that
 * all columns of a table share.
 *
 * A column begins with a text for each row. If the room is full, the column that takes most of it
 * becomes a dictionary: each different text once, and the number of its text for each row. If the
 * room is full again, and that column still takes the most, or if a dictionary would be too large,
 * the column keeps nothing. All that is decided as the rows are read, so it follows from the table
 * alone.
 */
import type { MissingCells } from "./cell-word.ts";
import { MAX_CELL_LENGTH } from "../dataset.ts";
import type { CodedTexts } from "../text/coded-texts.ts";
import type { Texts } from "../text/texts.ts";
import { CodesInTheMaking, RowsInTheMaking } from "./texts-in-the-making.ts";

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
      const before = longest.bytes;
      longest.shrink();
      this.#left += before - longest.bytes;
      if (!longest.areKept) this.#columns.delete(longest);
    }
  }

  /** Takes bytes for texts that never change, if there is room for them. */
  takeIfFree(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    this.#left -= bytes;
    return true;
  }
}

/** One cell, before it is known whether it is kept. */
const cellBytes = Buffer.alloc(3 * MAX_CELL_LENGTH);

export class KeptTexts {
  readonly #room: TextRoom;
  readonly #missing: MissingCells;
  /** At most one of these two is there. */
  #rows: RowsInTheMaking | null = new RowsInTheMaking();
  #codes: CodesInTheMaking | null = null;
  /** The rows of cells that are missing if all others are of one kind. */
  readonly #words: number[] = [];
  #areWordsMissing = false;

  constructor(room: TextRoom, missing: MissingCells) {
    this.#room = room;
    this.#missing = missing;
    room.enter(this);
  }

  /** What it takes of the room. */
  get bytes(): number {
    return this.#rows?.bytes ?? this.#codes?.roomBytes ?? 0;
  }

  get areKept(): boolean {
    return this.#rows !== null || this.#codes !== null;
  }

  /** Becomes a dictionary, or nothing if it is one or would be too large a one. */
  shrink(): void {
    this.#codes = this.#rows === null ? null : CodesInTheMaking.of(this.#rows);
    this.#rows = null;
  }

  add(cell: string): void {
    if (!this.areKept) return;
    const missing = this.#missing.is(cell);
    if (missing === "besideValues" && this.#rows !== null) this.#words.push(this.#rows.count);
    const length = missing === "always" ? 0 : cellBytes.write(cell);
    this.addAll(cellBytes.subarray(0, length), [length]);
  }

  /** Adds texts that lie one after the other. `ends`: where each one ends among them. */
  addAll(texts: Uint8Array, ends: ArrayLike<number>): void {
    if (this.#rows !== null) {
      this.#room.take(texts.length);
      if (this.#rows !== null) return this.#rows.add(texts, ends);
      // It has just become a dictionary, which takes what it needs.
      this.#room.take(-texts.length);
    }
    if (this.#codes === null) return;
    const before = this.#codes.roomBytes;
    this.#codes.add(texts, ends);
    this.#room.take(this.#codes.roomBytes - before);
    if (this.#codes?.isTooLarge) this.#drop();
  }

  #drop(): void {
    this.#room.leave(this);
    this.#codes = null;
  }

  /** Called after the last cell. */
  end(areWordsMissing: boolean): void {
    this.#areWordsMissing = areWordsMissing;
  }

  /** Null if they were too many. To be asked once all columns of the table have ended. */
  finish(): Texts | CodedTexts | null {
    if (this.#rows !== null) return this.#rows.finish(this.#areWordsMissing ? this.#words : []);
    const coded = this.#codes?.finish() ?? null;
    return this.#areWordsMissing
      ? (coded?.without((text) => this.#missing.is(text) === "besideValues") ?? null)
      : coded;
  }
}
