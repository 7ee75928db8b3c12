/** The different texts of a column, and the number of the text of each row. */
import { MISSING_CODE } from "../columns/column.ts";
import { TextTable } from "./text-table.ts";
import { bytesOf, Texts, type DictionarySize, type StoredTexts } from "./texts.ts";

/** The number of a missing text. */
export const NO_TEXT = 0xffff_ffff;

const NONE = new Uint8Array();

export class CodedTexts implements StoredTexts {
  readonly codes: Uint32Array;
  readonly texts: Texts;

  constructor(codes: Uint32Array, texts: Texts) {
    this.codes = codes;
    this.texts = texts;
  }

  static ofRows({ rows, ends, content }: Texts): CodedTexts {
    const table = new TextTable();
    const codes = new Uint32Array(rows);
    code(content, ends, table, codes);
    return new CodedTexts(codes, table.texts());
  }

  /** @param codes the class of each row */
  static ofClasses(codes: Uint16Array, classes: readonly string[]): CodedTexts {
    const wide = new Uint32Array(codes.length);
    for (let row = 0; row < codes.length; row++) wide[row] = codes[row] === MISSING_CODE ? NO_TEXT : codes[row];
    return new CodedTexts(wide, Texts.of(classes.map((name) => Buffer.from(name))));
  }

  /** From the parts that `stored` gave. */
  static from(stored: ArrayBuffer, rows: number, { texts }: DictionarySize): CodedTexts {
    const dictionary = new Texts(new Uint32Array(stored, 4 * rows, texts), new Uint8Array(stored, 4 * (rows + texts)));
    return new CodedTexts(new Uint32Array(stored, 0, rows), dictionary);
  }

  /** The codes, and then the texts. */
  stored(): Uint8Array[] {
    return [bytesOf(this.codes), ...this.texts.stored()];
  }

  get dictionary(): DictionarySize {
    return { texts: this.texts.rows, bytes: this.texts.bytes };
  }

  get rows(): number {
    return this.codes.length;
  }

  get bytes(): number {
    const { ends } = this.texts;
    let bytes = 0;
    for (const code of this.codes) if (code !== NO_TEXT) bytes += ends[code] - (code === 0 ? 0 : ends[code - 1]);
    return bytes;
  }

  at(row: number): Uint8Array {
    return this.isMissing(row) ? NONE : this.texts.at(this.codes[row]);
  }

  isMissing(row: number): boolean {
    return this.codes[row] === NO_TEXT;
  }

  /** The same, but for texts that are missing. */
  without(isMissing: (text: string) => boolean): CodedTexts {
    const textOf = (code: number) => Buffer.from(this.texts.at(code)).toString();
    const missing = Array.from({ length: this.texts.rows }, (_, code) => isMissing(textOf(code)));
    if (!missing.includes(true)) return this;
    return new CodedTexts(
      this.codes.map((code) => (missing[code] ? NO_TEXT : code)),
      this.texts,
    );
  }
}

/**
 * Gives `codes` the number of each text. An empty text is missing. `ends`: where each one ends in
 * `texts`.
 */
export function code(texts: Uint8Array, ends: ArrayLike<number>, table: TextTable, codes: Uint32Array): void {
  let begin = 0;
  for (let i = 0; i < ends.length; i++) {
    codes[i] = begin === ends[i] ? NO_TEXT : table.add(texts, begin, ends[i]);
    begin = ends[i];
  }
}
