/** Gives the text of each row, in UTF-8. It is empty where a cell is missing. */
export interface RowTexts {
  at(row: number): Uint8Array;
}

/** How many different texts there are, and how many bytes they have. */
export interface DictionarySize {
  readonly texts: number;
  readonly bytes: number;
}

/** Those of a column, in one of the forms that a file of columns has. */
export interface StoredTexts extends RowTexts {
  /** Those of the texts of all rows. */
  readonly bytes: number;
  /** Null: they are stored row by row. */
  readonly dictionary: DictionarySize | null;
  /** The bytes of the file, one part after the other. */
  stored(): Uint8Array[];
}

const NONE = new Uint8Array();

/** The texts of a column: one for each row, in UTF-8. Where a cell is missing, it is empty. */
export class Texts implements StoredTexts {
  readonly dictionary = null;
  /** Where the text of each row ends in `content`. It begins where the one before it ends. */
  readonly ends: Uint32Array;
  readonly content: Uint8Array;

  constructor(ends: Uint32Array, content: Uint8Array) {
    this.ends = ends;
    this.content = content;
  }

  static of(texts: readonly Uint8Array[]): Texts {
    let end = 0;
    const ends = Uint32Array.from(texts, (text) => (end += text.length));
    return new Texts(ends, Buffer.concat(texts));
  }

  /** From the parts that `stored` gave. */
  static from(stored: ArrayBuffer, rows: number): Texts {
    return new Texts(new Uint32Array(stored, 0, rows), new Uint8Array(stored, 4 * rows));
  }

  /** The ends, and then the bytes. */
  stored(): Uint8Array[] {
    return [bytesOf(this.ends), this.content.subarray(0, this.bytes)];
  }

  get rows(): number {
    return this.ends.length;
  }

  get bytes(): number {
    return this.ends.at(-1) ?? 0;
  }

  at(row: number): Uint8Array {
    return this.content.subarray(row === 0 ? 0 : this.ends[row - 1], this.ends[row]);
  }

  /** The first row that has a text; -1 if none has. */
  indexOf(text: Uint8Array): number {
    let begin = 0;
    for (let row = 0; row < this.rows; row++) {
      const end = this.ends[row];
      if (end - begin === text.length && text.every((byte, i) => byte === this.content[begin + i])) return row;
      begin = end;
    }
    return -1;
  }

  /** Whether the row has none. */
  isMissing(row: number): boolean {
    return this.ends[row] === (row === 0 ? 0 : this.ends[row - 1]);
  }

  /** The same, but for rows whose texts are missing. */
  without(rows: readonly number[]): Texts {
    const missing = new Set(rows);
    return Texts.of(Array.from({ length: this.rows }, (_, row) => (missing.has(row) ? NONE : this.at(row))));
  }
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
