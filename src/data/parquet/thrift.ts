/*
 * The compact protocol of Thrift, in which a Parquet file describes itself.
 *
 * A struct is a sequence of numbered fields. The caller says which fields it wants, and the rest is
 * skipped without being kept. Nothing is believed: lengths are checked against the bytes that are
 * left, and a number ends after ten bytes.
 */
import { DamagedFile } from "../columnar/damage.ts";

const TYPE = {
  true: 1,
  false: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
};
const MAX_DEPTH = 32;
const MAX_VARINT_BYTES = 10;
/** A hundred times the columns that a dataset may have. */
const MAX_ITEMS = 1_000_000;

/** Reads the field of this number if the caller wants it. */
type Fields = Readonly<Record<number, (type: number) => void>>;

export class ThriftReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #depth = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** How many bytes were read. */
  get offset(): number {
    return this.#at;
  }

  struct(fields: Fields): void {
    if (++this.#depth > MAX_DEPTH) throw new DamagedFile("its description is nested too deeply");
    let id = 0;
    for (let header = this.#byte(); header !== 0; header = this.#byte()) {
      id = header >> 4 === 0 ? this.integer() : id + (header >> 4);
      const type = header & 15;
      if (Object.hasOwn(fields, id)) fields[id](type);
      else this.#skip(type);
    }
    this.#depth--;
  }

  list<T>(read: () => T): T[] {
    const items: T[] = [];
    const { length } = this.#listHeader();
    if (length > MAX_ITEMS) throw new DamagedFile(`a list in its description has ${length} items`);
    for (let i = 0; i < length; i++) items.push(read());
    return items;
  }

  /** A number beyond 2^53 is not exact. */
  integer(): number {
    const zigzag = this.#varint();
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  text(): string {
    const bytes = this.#take(this.#varint());
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  }

  /** Of a field. The type says the value. */
  boolean(type: number): boolean {
    return type === TYPE.true;
  }

  byte(): number {
    return (this.#byte() << 24) >> 24;
  }

  /** A field whose presence alone counts. */
  skip(type: number): void {
    this.#skip(type);
  }

  #skip(type: number): void {
    switch (type) {
      case TYPE.true:
      case TYPE.false:
        return;
      case TYPE.byte:
        this.#take(1);
        return;
      case TYPE.i16:
      case TYPE.i32:
      case TYPE.i64:
        this.#varint();
        return;
      case TYPE.double:
        this.#take(8);
        return;
      case TYPE.binary:
        this.#take(this.#varint());
        return;
      case TYPE.list:
      case TYPE.set:
        return this.#skipList();
      case TYPE.struct:
        return this.struct({});
      default:
        throw new DamagedFile(`its description has a field of the unknown type ${type}`);
    }
  }

  #skipList(): void {
    const { length, type } = this.#listHeader();
    if (++this.#depth > MAX_DEPTH) throw new DamagedFile("its description is nested too deeply");
    // A boolean takes a byte where it is no field.
    const each = type === TYPE.true || type === TYPE.false ? TYPE.byte : type;
    for (let i = 0; i < length; i++) this.#skip(each);
    this.#depth--;
  }

  #listHeader(): { length: number; type: number } {
    const header = this.#byte();
    const length = header >> 4 === 15 ? this.#varint() : header >> 4;
    // An item takes a byte at least.
    if (length > this.#bytes.length - this.#at) throw new DamagedFile("a list in its description is cut off");
    return { length, type: header & 15 };
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new DamagedFile("a number in its description has too many bytes");
  }

  #byte(): number {
    return this.#take(1)[0];
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw new DamagedFile("its description is cut off");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
