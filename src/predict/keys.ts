/*
 * Which key of a set a row has. The cells of `partition_by` are read as those of classes are: as
 * the values that they had among the keys, in any spelling that the dataset could have.
 */
import { booleanOf } from "../data/columns/cell-word.ts";
import { shown, type CellReader } from "../data/columns/cell-reader.ts";
import type { Key } from "../data/encode/keys.ts";
import { codeOf, MISSING, type Faults, type ReadCell } from "./columns.ts";
import type { Cell } from "./request.ts";

/** What a key takes besides its texts, about. */
const KEY_BYTES = 200;

interface KeyColumn {
  readonly name: string;
  /** Its values as texts, and the code of each. */
  readonly codes: Map<string, number>;
  read: ReadCell;
}

export class KeyNumbers {
  readonly #columns: readonly KeyColumn[];
  /** By the codes of its values. */
  readonly #numbers = new Map<string, number>();
  /** About what it takes. */
  bytes = 0;

  private constructor(columns: readonly string[]) {
    this.#columns = columns.map((name) => ({ name, codes: new Map<string, number>(), read: () => "" }));
  }

  /** @param keys all of the set, in their order */
  static async of(columns: readonly string[], keys: AsyncIterable<Key>, reader: CellReader): Promise<KeyNumbers> {
    const numbers = new KeyNumbers(columns);
    const words = new Set<string>();
    for await (const key of keys) {
      for (const name of columns) if (typeof key[name] === "boolean") words.add(name);
      numbers.#add(key);
    }
    const rules = { reader, mayMiss: false, unseen: "error" } as const;
    for (const column of numbers.#columns) {
      const read = codeOf({ column: column.name, classes: [...column.codes.keys()] }, rules);
      column.read = words.has(column.name) ? (cell) => read(wordOf(cell)) : read;
    }
    return numbers;
  }

  #add(key: Key): void {
    const codes = this.#columns.map(({ name, codes }) => {
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

  /** The number of the key of a row; null: `faults` says why it has none. */
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
    const values = this.#columns.map(({ name }) => `${shown(name)} ${shown(cell(name))}`).join(", ");
    faults.add(["rows", row], `has a key that no training row has: ${values}`);
    return null;
  }
}

/** Words for true and false as one of each. */
function wordOf(cell: Cell): Cell {
  const isWord = typeof cell === "string" || typeof cell === "number";
  return (isWord ? booleanOf(String(cell).trim())?.value : undefined) ?? cell;
}
