/*
 * Which key of a set a row has. The cells of `partition_by` are read as those of classes are: as
 * the values that they had among the keys, in any spelling that the dataset could have. A set with
 * a pooled model takes other keys too. Then a cell is wrong only if its column cannot hold it.
 */
import { booleanOf } from "../data/columns/cell-word.ts";
import { shown, type CellReader } from "../data/columns/cell-reader.ts";
import type { Key } from "../data/encode/keys.ts";
import { codeOf, dateIn, kindOf, MISSING, numberIn, type Faults, type ReadCell } from "./columns.ts";
import type { Cell } from "./request.ts";

/** What a key takes besides its texts, about. */
const KEY_BYTES = 200;
/** The number of every key that is not among those of the set. */
export const OTHER_KEY = -1;
/** The code of a value that no key has. */
const OTHER_CODE = -1;

interface KeyColumn {
  readonly name: string;
  /** Its values as texts, and the code of each. */
  readonly codes: Map<string, number>;
  /** Of its values, as `typeof` tells. */
  type: string;
  read: ReadCell;
}

export class KeyNumbers {
  readonly #columns: readonly KeyColumn[];
  readonly #takesOthers: boolean;
  /** By the codes of its values. */
  readonly #numbers = new Map<string, number>();
  /** About what it takes. */
  bytes = 0;

  private constructor(columns: readonly string[], takesOthers: boolean) {
    this.#columns = columns.map((name) => ({ name, codes: new Map<string, number>(), type: "string", read: () => "" }));
    this.#takesOthers = takesOthers;
  }

  /**
   * @param keys all of the set, in their order
   * @param options.takesOthers whether rows may have a key that is not among them
   */
  static async of(
    columns: readonly string[],
    keys: AsyncIterable<Key>,
    { reader, takesOthers }: { readonly reader: CellReader; readonly takesOthers: boolean },
  ): Promise<KeyNumbers> {
    const numbers = new KeyNumbers(columns, takesOthers);
    for await (const key of keys) numbers.#add(key);
    const rules = { reader, mayMiss: false, unseen: "error" } as const;
    for (const column of numbers.#columns) {
      const classes = [...column.codes.keys()];
      const other = takesOthers ? otherValue(column, classes, reader) : undefined;
      const read = codeOf({ column: column.name, classes }, rules, other);
      column.read = column.type === "boolean" ? (cell) => read(wordOf(cell)) : read;
    }
    return numbers;
  }

  #add(key: Key): void {
    const codes = this.#columns.map((column) => {
      const { name, codes } = column;
      column.type = typeof key[name];
      const text = String(key[name]);
      const code = codes.get(text) ?? codes.size;
      codes.set(text, code);
      this.bytes += KEY_BYTES + 2 * text.length;
      return code;
    });
    this.#numbers.set(codes.join(), this.#numbers.size);
  }

  /** Whether all rows have one key, which has no values. */
  get isOne(): boolean {
    return this.#columns.length === 0;
  }

  /** The number of the key of a row, maybe `OTHER_KEY`; null: `faults` says why it has none. */
  of(cell: (column: string) => Cell, row: number, faults: Faults): number | null {
    const codes = this.#columns.map(({ name, read }) => {
      const value = cell(name);
      if (value === undefined) return "is required: it says which model predicts";
      const code = read(value);
      return code === MISSING ? "is missing: it says which model predicts" : code;
    });
    for (const [i, code] of codes.entries())
      if (typeof code === "string") faults.add(["rows", row, this.#columns[i].name], code);
    if (codes.some((code) => typeof code === "string")) return null;
    const number = this.#numbers.get(codes.join());
    if (number !== undefined) return number;
    if (this.#takesOthers) return OTHER_KEY;
    const values = this.#columns.map(({ name }) => `${shown(name)} ${shown(cell(name))}`).join(", ");
    faults.add(["rows", row], `has a key that no training row has: ${values}`);
    return null;
  }
}

/** Reads a cell that is no value of a key: as `OTHER_CODE`, unless the column cannot hold it. */
function otherValue({ name, type }: KeyColumn, classes: readonly string[], reader: CellReader): ReadCell {
  const held = (read: ReadCell) => (cell: Cell) => {
    const value = read(cell);
    return typeof value === "string" ? value : OTHER_CODE;
  };
  if (type === "boolean")
    return held((cell) => (typeof cell === "boolean" ? Number(cell) : `must be true or false, not ${shown(cell)}`));
  if (type === "number")
    return held((cell) => {
      const isCode = typeof cell === "string" && reader.number(cell).isCode === true;
      return isCode ? `is ${shown(cell)}, which is a code and no number` : numberIn(cell, reader);
    });
  return kindOf(classes) === "dates" ? held((cell) => dateIn(cell, reader, name)) : () => OTHER_CODE;
}

/** Words for true and false as one of each. */
function wordOf(cell: Cell): Cell {
  const isWord = typeof cell === "string" || typeof cell === "number";
  return (isWord ? booleanOf(String(cell).trim())?.value : undefined) ?? cell;
}
