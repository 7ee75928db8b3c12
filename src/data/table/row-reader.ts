/*
 * Reads the rows of a text that comes in pieces, in UTF-8.
 *
 * Most rows are plain, and a kernel splits many of them at once (RowBatch). The first row that is
 * not plain ends the batch. RowSplitter takes that row, with all its rules, and the kernel goes on
 * after it. So the rules are in one place, and files pay for them only where they need them.
 */
import { SLACK_BYTES, type ReaderKernels } from "../kernels/reader.ts";
import { Assembler, type BatchSink } from "./assemble.ts";
import type { Reading } from "../reading.ts";
import { RowBatch, type TextPlace } from "./row-batch.ts";
import { MAX_ROW_CHARACTERS, RowSplitter } from "./rows.ts";

type RowFormat = Pick<Reading, "version" | "separator" | "comment" | "header">;

const FIRST_BYTES = 2 ** 20;
/** How much of the text is looked at for a row that is not plain: so much, then twice as much. */
const ROW_BYTES = 2 ** 11;

export class RowReader {
  readonly #format: RowFormat;
  readonly #sink: BatchSink;
  readonly #assembler: Assembler;
  readonly #splitter: RowSplitter;
  readonly #kernels: ReaderKernels;
  readonly #batch: RowBatch;
  #place: TextPlace = { text: 0, room: 0, texts: 0 };
  #capacity = 0;
  /** The addresses of the text that belongs to no row yet. */
  #begin = 0;
  #end = 0;
  /** A row that is not complete is looked at again when there are so many bytes. */
  #enough = 0;
  #line: number;
  readonly #bytes: number;
  #taken = { rows: 0, bytes: 0 };

  /** @param bytes those of the whole text, more or less */
  constructor(format: RowFormat, sink: BatchSink, kernels: ReaderKernels, firstLine: number, bytes: number) {
    this.#format = format;
    this.#sink = sink;
    this.#assembler = new Assembler(format, sink);
    this.#splitter = new RowSplitter(format, (cells, line, blank) => this.#assembler.add(cells, line, blank));
    this.#kernels = kernels;
    this.#batch = new RowBatch(kernels);
    this.#line = firstLine;
    this.#bytes = bytes;
  }

  /** @throws InvalidDataset, and what the assembler's sink throws */
  push(bytes: Buffer): void {
    this.#append(bytes);
    if (this.#end - this.#begin < this.#enough) return;
    this.#take(false);
    const left = this.#end - this.#begin;
    this.#enough = Math.min(2 * left, MAX_ROW_CHARACTERS + 1);
  }

  /** Takes the last row, which may lack a line break. */
  end(): void {
    this.#take(true);
    this.#assembler.end();
  }

  #append(bytes: Buffer): void {
    const left = this.#end - this.#begin;
    if (this.#place.text + this.#capacity - this.#end < bytes.length) this.#makeRoom(left + bytes.length);
    bytes.copy(this.#kernels.bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Moves the text to the beginning of its place, or to a larger one. */
  #makeRoom(bytes: number): void {
    const kernels = this.#kernels;
    if (bytes > this.#capacity) {
      this.#capacity = Math.max(FIRST_BYTES, 2 * bytes);
      const allocate = () => kernels.allocate(this.#capacity + SLACK_BYTES);
      this.#place = { text: allocate(), room: allocate(), texts: allocate() };
    }
    const { text } = this.#place;
    kernels.bytes.copyWithin(text, this.#begin, this.#end);
    this.#end += text - this.#begin;
    this.#begin = text;
  }

  #take(isLast: boolean): void {
    while (this.#begin < this.#end) {
      const outcome = this.#takePlain();
      if (outcome === "full") continue;
      const isMore = outcome === "incomplete" && !isLast && this.#end - this.#begin <= MAX_ROW_CHARACTERS;
      if (isMore || !this.#takeOne(isLast)) return;
    }
  }

  #takePlain() {
    const columns = this.#assembler.plainColumns;
    if (columns === null) return "not plain";
    const { separator, comment } = this.#format;
    const format = {
      columns,
      separator: separator.charCodeAt(0),
      comment: comment === null ? -1 : Buffer.from(comment)[0],
    };
    const { next, line, outcome } = this.#batch.split(this.#begin, this.#end, this.#line, format, this.#place);
    if (this.#batch.rows > 0) {
      this.#taken.rows += this.#batch.rows;
      this.#taken.bytes += this.#batch.bytes;
      this.#batch.expected = Math.ceil((1.01 * this.#taken.rows * this.#bytes) / this.#taken.bytes);
      this.#assembler.countPlain(this.#batch.rows);
      this.#sink.rows(this.#batch);
    }
    this.#begin = next;
    this.#line = line;
    return outcome;
  }

  /** Takes a row by all rules. Gives whether its end was there. */
  #takeOne(isLast: boolean): boolean {
    for (let bytes = ROW_BYTES; ; bytes *= 2) {
      const end = Math.min(this.#begin + bytes, this.#end);
      const text = this.#textUntil(end);
      const row = this.#splitter.takeFirst(text, this.#line, isLast && end === this.#end);
      if (row !== null) {
        this.#begin += Buffer.byteLength(text.slice(0, row.length));
        this.#line = row.nextLine;
        return true;
      }
      if (end === this.#end) return false;
    }
  }

  /** Without a character that is cut off. */
  #textUntil(end: number): string {
    const { bytes } = this.#kernels;
    if (end < this.#end) while ((bytes[end] & 0xc0) === 0x80) end--;
    else end -= cutOff(bytes, this.#begin, end);
    return bytes.toString("utf8", this.#begin, end);
  }
}

/** How many bytes of an incomplete character a text ends with. */
function cutOff(bytes: Uint8Array, begin: number, end: number): number {
  for (let back = 1; back <= 3 && end - back >= begin; back++) {
    const byte = bytes[end - back];
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}
