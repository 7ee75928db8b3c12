/*
 * Splits text into rows of cells (RFC 4180, and what people make of it), each with the line it
 * starts on.
 *
 * A row ends with LF, CRLF or CR, mixed as they come; a quoted cell may hold any of them. Spaces
 * around a cell do not belong to it, unless they stand within its quotes. In a quoted cell a quote
 * is written twice; a quote in a cell that is not quoted is a fault. Lines that begin with the
 * comment mark are left out, where there is one.
 *
 * Lines are counted as editors do: by LF, or by CR in a file that has no LF.
 *
 * Most lines hold no quote: such a row is found and split by the language's own functions. Only a
 * row with a quote is walked through cell by cell. A row that is not complete yet is looked at
 * again when there is twice as much of it, so that this takes time in proportion to its length. It
 * has limits in characters and in cells, so that an opening quote without an end costs no more than
 * they allow.
 *
 * Version 1 of the reader kept the spaces around cells, and took CR for one of them.
 */
import { InvalidDataset, MAX_COLUMNS } from "../dataset.ts";
import type { Separator } from "../reading.ts";

export const MAX_ROW_CHARACTERS = 4 * 2 ** 20;
const QUOTE = '"';

export interface RowFormat {
  readonly version: number;
  readonly separator: Separator;
  readonly comment: string | null;
}

/**
 * A cell is a part of the text around it. That text stays in memory as long as the cell does, so a
 * cell that is kept must be `detached`. `blank`: the row has nothing but spaces and separators.
 * What this function throws ends the reading.
 */
export type OnRow = (cells: string[], line: number, blank: boolean) => void;

/** A row with a quote in it, or null if the end of the row has not come yet. */
type Walked = { readonly cells: string[]; readonly end: number } | null;

export class RowSplitter {
  readonly #format: RowFormat;
  readonly #onRow: OnRow;
  /** The text that belongs to no complete row yet, and the line it begins on. */
  #text = "";
  #line: number;
  /** A row that is not complete is looked at again when the text is that long. */
  #enough = 0;
  #isLast = false;
  /** Where the next one stands in the text; the text's length if there is none. */
  #nextQuote = -1;
  #nextLf = -1;
  #nextCr = -1;

  constructor(format: RowFormat, onRow: OnRow, firstLine = 1) {
    this.#format = format;
    this.#onRow = onRow;
    this.#line = firstLine;
  }

  /** @throws InvalidDataset, and what `onRow` throws */
  push(text: string): void {
    this.#text += text;
    if (this.#text.length < this.#enough && !this.#isLast) return;
    this.#nextQuote = this.#nextLf = this.#nextCr = -1;
    let at = 0;
    while (at < this.#text.length) {
      const end = this.#row(at);
      if (end === null) break;
      at = end;
    }
    this.#text = this.#text.slice(at);
    this.#enough = Math.min(2 * this.#text.length, MAX_ROW_CHARACTERS + 1);
  }

  /** Takes the last row, which may lack a line break. */
  end(): void {
    this.#isLast = true;
    this.push("");
  }

  /**
   * Takes the row that a text begins with, instead of `push` and `end`. Gives its length and the
   * line after it, or null if more text must come first. `isLast`: no more text comes.
   */
  takeFirst(text: string, line: number, isLast: boolean): { length: number; nextLine: number } | null {
    this.#text = text;
    this.#line = line;
    this.#isLast = isLast;
    this.#nextQuote = this.#nextLf = this.#nextCr = -1;
    const length = this.#row(0);
    return length === null ? null : { length, nextLine: this.#line };
  }

  /**
   * Takes the row that begins here. Gives the place where the next row begins, or null if more text
   * must come first.
   */
  #row(at: number): number | null {
    const text = this.#text;
    const { comment } = this.#format;
    const stop = this.#lineStop(at);
    const isComment = comment !== null && text.startsWith(comment, at);
    if (!isComment && this.#quote(at) < stop) return this.#quotedRow(at);
    const ends = stop === text.length ? (this.#isLast ? 0 : null) : this.#breakAt(stop);
    this.#assertShort((ends === null ? text.length : stop) - at, false);
    if (ends === null) {
      if (!isComment) this.#assertFewCells(at);
      return null;
    }
    if (!isComment) this.#emit(text.slice(at, stop).split(this.#format.separator, MAX_COLUMNS + 1), false);
    this.#line++;
    return stop + ends;
  }

  #quotedRow(at: number): number | null {
    const walked = this.#walk(at);
    this.#assertShort((walked?.end ?? this.#text.length) - at, true);
    if (walked === null) return null;
    const row = this.#text.slice(at, walked.end);
    this.#emit(walked.cells, true);
    const broken = row.endsWith("\n") ? "\n" : row.endsWith("\r") ? "\r" : row.includes("\n") ? "\n" : "\r";
    this.#line += count(row, broken);
    return walked.end;
  }

  #walk(start: number): Walked {
    const text = this.#text;
    const cells: string[] = [];
    let at = start;
    for (;;) {
      const cell = this.#cell(at);
      if (cell === null) return null;
      cells.push(cell.value);
      if (cells.length > MAX_COLUMNS) throw tooManyCells(this.#line);
      if (cell.end === text.length) return this.#isLast ? { cells, end: cell.end } : null;
      if (text[cell.end] === this.#format.separator) {
        at = cell.end + 1;
        // A separator at the very end stands before an empty cell, or before text that is still to
        // come.
        if (at < text.length) continue;
        return this.#isLast ? { cells: [...cells, ""], end: at } : null;
      }
      const ends = this.#breakAt(cell.end);
      return ends === null ? null : { cells, end: cell.end + ends };
    }
  }

  /**
   * The cell that begins here, and where it ends: at a separator, a line break, or the end of the
   * text.
   */
  #cell(start: number): { value: string; end: number } | null {
    const text = this.#text;
    const from = this.#format.version > 1 ? this.#skipSpaces(start) : start;
    if (text[from] !== QUOTE) return this.#plainCell(start);
    let close = from;
    do {
      close = text.indexOf(QUOTE, close + 1);
      if (close < 0) {
        if (this.#isLast) throw this.#fault('A cell of this row opens with a quote (") that is never closed.');
        return null;
      }
      // A second quote may follow. Both together are one quote within the cell.
    } while (text[close + 1] === QUOTE && close++ >= 0);
    if (close + 1 === text.length && !this.#isLast) return null;
    const value = text.slice(from + 1, close).replaceAll('""', QUOTE);
    const end = this.#format.version > 1 ? this.#skipSpaces(close + 1) : close + 1;
    if (end === text.length || text[end] === this.#format.separator || this.#isBreak(end)) return { value, end };
    throw this.#fault(
      'A closing quote (") ends a cell, but here the cell goes on. Inside quotes a quote is written twice, ' +
        "and a comma, semicolon, tab or pipe separates cells, not a space.",
    );
  }

  #plainCell(start: number): { value: string; end: number } {
    const text = this.#text;
    let end = start;
    while (end < text.length && text[end] !== this.#format.separator && !this.#isBreak(end)) {
      if (text[end] === QUOTE)
        throw this.#fault(
          'A quote (") stands inside a cell that is not quoted. Quote the cell, and write the quote twice.',
        );
      end++;
    }
    return { value: this.#trimmed(text.slice(start, end)), end };
  }

  #emit(cells: string[], quoted: boolean): void {
    if (cells.length > MAX_COLUMNS) throw tooManyCells(this.#line);
    if (!quoted) for (let i = 0; i < cells.length; i++) cells[i] = this.#trimmed(cells[i]);
    this.#onRow(cells, this.#line, !quoted && cells.every((cell) => cell === ""));
  }

  #trimmed(cell: string): string {
    if (this.#format.version === 1) return cell;
    return isSpace(cell.charCodeAt(0)) || isSpace(cell.charCodeAt(cell.length - 1)) ? cell.trim() : cell;
  }

  /** The place after the spaces that may stand around quotes. */
  #skipSpaces(at: number): number {
    const { separator } = this.#format;
    const text = this.#text;
    while (at < text.length && text[at] !== separator && !this.#isBreak(at) && isSpace(text.charCodeAt(at))) at++;
    return at;
  }

  /** Whether there is a line break here, or may be one once more text has come. */
  #isBreak(at: number): boolean {
    const text = this.#text;
    if (text[at] !== "\r") return text[at] === "\n";
    if (this.#format.version > 1) return true;
    return at + 1 === text.length ? !this.#isLast : text[at + 1] === "\n";
  }

  /** The length of the line break here; null if that depends on text that is still to come. */
  #breakAt(at: number): number | null {
    const text = this.#text;
    let end = at;
    // Some programs write CR twice before LF.
    while (text[end] === "\r") end++;
    if (end === text.length && !this.#isLast) return null;
    if (text[end] === "\n") return end + 1 - at;
    return 1;
  }

  /** Where the line break after this place is, or the end of the text. */
  #lineStop(at: number): number {
    const text = this.#text;
    if (this.#nextLf < at) this.#nextLf = indexOrEnd(text, "\n", at);
    if (this.#format.version === 1) {
      const isCrlf = this.#nextLf < text.length && this.#nextLf > at && text[this.#nextLf - 1] === "\r";
      return isCrlf ? this.#nextLf - 1 : this.#nextLf;
    }
    if (this.#nextCr < at) this.#nextCr = indexOrEnd(text, "\r", at);
    return Math.min(this.#nextLf, this.#nextCr);
  }

  #quote(at: number): number {
    if (this.#nextQuote < at) this.#nextQuote = indexOrEnd(this.#text, QUOTE, at);
    return this.#nextQuote;
  }

  #assertShort(characters: number, quoted: boolean): void {
    if (characters <= MAX_ROW_CHARACTERS) return;
    const why = quoted ? ' Is a quote (") left open?' : "";
    throw this.#fault(`This row has more than ${MAX_ROW_CHARACTERS} characters.${why}`);
  }

  #assertFewCells(at: number): void {
    if (count(this.#text.slice(at), this.#format.separator, MAX_COLUMNS) >= MAX_COLUMNS) throw tooManyCells(this.#line);
  }

  #fault(message: string): InvalidDataset {
    return new InvalidDataset(message, this.#line);
  }
}

/** A copy of the text that keeps no other text in memory. */
export function detached(cell: string): string {
  return Buffer.from(cell).toString();
}

export function tooManyCells(line: number): InvalidDataset {
  return new InvalidDataset(
    `This row has more than ${MAX_COLUMNS} cells; a dataset may have at most as many columns.`,
    line,
  );
}

function indexOrEnd(text: string, what: string, at: number): number {
  const index = text.indexOf(what, at);
  return index < 0 ? text.length : index;
}

/** Whether `trim` would take it away. */
function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || (code >= 0xa0 && /\s/.test(String.fromCharCode(code)));
}

/** How often `what` occurs, counted up to `most`. */
function count(text: string, what: string, most = Infinity): number {
  let found = 0;
  for (let at = text.indexOf(what); at >= 0 && found < most; at = text.indexOf(what, at + 1)) found++;
  return found;
}
