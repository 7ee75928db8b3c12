/** The names of a table's columns. */
import { NumberReader } from "../columns/cell-number.ts";
import { InvalidDataset, MAX_COLUMNS, MAX_NAME_CHARACTERS, MAX_NAME_LENGTH } from "../dataset.ts";
import type { DeclaredType } from "../reading.ts";
import type { RowBatch } from "./row-batch.ts";
import { tooManyCells } from "./rows.ts";

const MAX_LISTED = 10;
/** Row numbers must be below this, so that comparing them takes 32 MB at most. */
const MAX_ROW_NUMBER = 2 ** 28;

/** The names of the columns in a table without a header. */
export function numberedNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `column_${i + 1}`);
}

/**
 * The names that the first line gives. An empty first name may be that of an index, which pandas
 * writes without a name. Its cells decide whether it is one (`RowNumbers`).
 * @param mayBeNumbers whether the names may all be numbers. If not, such a line is taken for a row
 * of a table without a header.
 * @throws InvalidDataset
 */
export function namesOf(
  cells: readonly string[],
  line: number,
  mayBeNumbers: boolean,
): { names: string[]; index: string | null } {
  const fault = (message: string) => new InvalidDataset(message, line);
  if (cells.length > MAX_COLUMNS) throw tooManyCells(line);
  if (cells.reduce((sum, name) => sum + name.length, 0) > MAX_NAME_CHARACTERS)
    throw fault(`The names of all columns have more than ${MAX_NAME_CHARACTERS} characters together: shorten them.`);
  const seen = new Set<string>();
  for (const [i, name] of cells.entries()) {
    if (name === "" && (i > 0 || cells.length === 1))
      throw fault(`Column ${i + 1} has no name. ${namingRemedy(i, cells)}`);
    if (name.length > MAX_NAME_LENGTH)
      throw fault(`The name of column ${i + 1} has more than ${MAX_NAME_LENGTH} characters: shorten it.`);
    if (seen.has(name)) throw fault(`Two columns are named ${JSON.stringify(name)}. Rename one of them.`);
    seen.add(name);
  }
  const number = new NumberReader();
  if (!mayBeNumbers && cells.every((name) => number.read(name))) {
    const remedy = "Say ?header=false if there are no names, or ?header=true if these are names.";
    throw fault(`This line holds only numbers; it must name the columns. ${remedy}`);
  }
  if (cells[0] !== "") return { names: [...cells], index: null };
  const index = freeName(seen);
  return { names: [index, ...cells.slice(1)], index };
}

function namingRemedy(i: number, names: readonly string[]): string {
  const isLast = names.slice(i).every((name) => name === "");
  if (i === 0 || !isLast) return "Name it in this line.";
  const what = i === names.length - 1 ? "the separator that ends" : `the ${names.length - i} separators that end`;
  const title = i === 1 ? " If this line is a title and no header, remove it instead." : "";
  return `Name it in this line, or remove ${what} each line.${title}`;
}

function freeName(taken: ReadonlySet<string>): string {
  let name = "index";
  for (let n = 1; taken.has(name); n++) name = `index_${n}`;
  return name;
}

/** @throws InvalidDataset if a type is declared for a column that the table does not have */
export function checkTypes(
  types: Readonly<Record<string, DeclaredType>>,
  names: readonly string[],
  line: number,
): void {
  const known = new Set(names);
  const wrong = Object.keys(types).find((name) => !known.has(name));
  if (wrong === undefined) return;
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  const list = names.slice(0, MAX_LISTED).map((name) => JSON.stringify(name));
  throw new InvalidDataset(
    `?columns= names ${JSON.stringify(wrong)}, and there is no such column. There are: ${list.join(", ")}${more}.`,
    line,
  );
}

/** Looks whether the cells of a column number its rows: integers that all differ. */
export class RowNumbers {
  readonly #headerLine: number;
  /** One bit for each number. */
  #seen = new Uint8Array(2 ** 10);

  constructor(headerLine: number) {
    this.#headerLine = headerLine;
  }

  /** @throws InvalidDataset */
  addBatch(batch: RowBatch): void {
    for (let row = 0; row < batch.rows; row++) {
      const { begin, end } = batch.place(0, row);
      const number = plainInteger(batch.kernels.bytes, begin, end);
      if (number === null || !this.#take(number)) this.add(batch.cell(0, row), batch.line(row));
    }
  }

  /** @throws InvalidDataset */
  add(cell: string, line: number): void {
    const number = /^(?:0|[1-9]\d{0,8})$/.test(cell) ? Number(cell) : MAX_ROW_NUMBER;
    if (!this.#take(number)) {
      throw new InvalidDataset(
        `Column 1 has no name. Only a column that numbers the rows needs none, and ${JSON.stringify(cell.slice(0, 40))} in line ${line} is no number, or not a new one. Name it in this line.`,
        this.#headerLine,
      );
    }
  }

  /** Whether the number is small enough, and a new one. */
  #take(number: number): boolean {
    const [at, bit] = [number >> 3, 1 << (number & 7)];
    if (number >= MAX_ROW_NUMBER || this.#has(at, bit)) return false;
    this.#seen[at] |= bit;
    return true;
  }

  #has(at: number, bit: number): boolean {
    if (at >= this.#seen.length) {
      const grown = new Uint8Array(2 ** Math.ceil(Math.log2(at + 1)));
      grown.set(this.#seen);
      this.#seen = grown;
    }
    return (this.#seen[at] & bit) !== 0;
  }
}

const [ZERO, MOST_DIGITS] = [48, 9];

/** The integer that a text of digits alone is, without a zero before others; null if it is not. */
function plainInteger(bytes: Uint8Array, begin: number, end: number): number | null {
  if (begin === end || end - begin > MOST_DIGITS || (bytes[begin] === ZERO && end - begin > 1)) return null;
  let value = 0;
  for (let at = begin; at < end; at++) {
    const digit = bytes[at] - ZERO;
    if (!(digit >= 0 && digit <= 9)) return null;
    value = 10 * value + digit;
  }
  return value;
}
