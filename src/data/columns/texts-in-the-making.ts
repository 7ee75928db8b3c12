/** Texts of a column whose rows come one after the other, in both forms (kept-texts.ts). */
import { MAX_DICTIONARY_BYTES, MAX_DICTIONARY_TEXTS } from "../dataset.ts";
import { code, CodedTexts } from "../text/coded-texts.ts";
import { TextTable } from "../text/text-table.ts";
import { Texts } from "../text/texts.ts";

/** The text of each row. */
export class RowsInTheMaking {
  #ends = new Uint32Array(1024);
  #count = 0;
  #bytes = Buffer.allocUnsafeSlow(4096);
  #end = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#end;
  }

  /** `ends`: where each text ends in `texts`. */
  add(texts: Uint8Array, ends: ArrayLike<number>): void {
    const end = this.#end + texts.length;
    if (end > this.#bytes.length) {
      // Memory that is not used yet is not touched.
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#end);
      this.#bytes = larger;
    }
    this.#bytes.set(texts, this.#end);
    this.#ends = withRoom(this.#ends, this.#count + ends.length);
    for (let i = 0; i < ends.length; i++) this.#ends[this.#count + i] = this.#end + ends[i];
    this.#count += ends.length;
    this.#end = end;
  }

  /** @param missing the rows whose text is missing after all */
  finish(missing: readonly number[]): Texts {
    const texts = this.texts();
    return missing.length === 0 ? texts : texts.without(missing);
  }

  texts(): Texts {
    return new Texts(this.#ends.subarray(0, this.#count), this.#bytes.subarray(0, this.#end));
  }
}

/** What a text of a dictionary takes besides its bytes: its end, its hash and its places. */
const ENTRY_BYTES = 16;

/** The most that so many texts take more of a room in either form. */
export function mostRoom(texts: number, bytes: number): number {
  return bytes + ENTRY_BYTES * texts;
}

/** Each different text, and the number of the text of each row. */
export class CodesInTheMaking {
  readonly #table = new TextTable();
  #codes = new Uint32Array(1024);
  #count = 0;

  /** Null if it would be too large. */
  static of(rows: RowsInTheMaking): CodesInTheMaking | null {
    const codes = new CodesInTheMaking();
    const { ends, content } = rows.texts();
    let begin = 0;
    for (let first = 0; first < ends.length && !codes.isTooLarge; first += AT_ONCE) {
      const some = ends.slice(first, first + AT_ONCE);
      const [from, end] = [begin, some[some.length - 1]];
      codes.add(
        content.subarray(from, end),
        some.map((last) => last - from),
      );
      begin = end;
    }
    return codes.isTooLarge ? null : codes;
  }

  get isTooLarge(): boolean {
    return this.#table.count > MAX_DICTIONARY_TEXTS || this.#table.bytes > MAX_DICTIONARY_BYTES;
  }

  get roomBytes(): number {
    return mostRoom(this.#table.count, this.#table.bytes);
  }

  /** `ends`: where each text ends in `texts`. */
  add(texts: Uint8Array, ends: ArrayLike<number>): void {
    this.#codes = withRoom(this.#codes, this.#count + ends.length);
    code(texts, ends, this.#table, this.#codes.subarray(this.#count));
    this.#count += ends.length;
  }

  finish(): CodedTexts {
    return new CodedTexts(this.#codes.subarray(0, this.#count), this.#table.texts());
  }
}

/** So many texts are looked at before the size of a dictionary is. */
const AT_ONCE = 4096;

function withRoom(had: Uint32Array<ArrayBuffer>, count: number): Uint32Array<ArrayBuffer> {
  if (count <= had.length) return had;
  const larger = new Uint32Array(Math.max(count, 2 * had.length));
  larger.set(had);
  return larger;
}
