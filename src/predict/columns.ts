/*
 * The columns of a request as encoders read them. Each cell is checked by itself: what a cell is
 * read as does not depend on the other rows of the request.
 */
import { booleanOf } from "../data/columns/cell-word.ts";
import { shown, type CellReader } from "../data/columns/cell-reader.ts";
import { dateTexts, MISSING_CODE } from "../data/columns/column.ts";
import { Evidence } from "../data/columns/evidence.ts";
import type { ColumnSource, SourceColumn } from "../data/encode/apply.ts";
import type { CategoricalEncoder, Encoder, InputEncoding, TextEncoder } from "../data/encode/encoding.ts";
import type { RowTexts } from "../data/text/texts.ts";
import { tokenizerOf } from "../data/text/vocabulary.ts";
import { MAX_FAULTS, pointer, type Fault } from "../contract/resolve/faults.ts";
import { faulty } from "../contract/errors.ts";
import { size } from "../engine/member/shape.ts";
import type { InputArray } from "../engine/training.ts";
import type { Cell, Rows, Samples } from "./request.ts";
import { TOO_LARGE, wholeFault, writeElements } from "./samples.ts";

export interface CellRules {
  readonly reader: CellReader;
  /** Whether a cell may be missing where no number replaces it. */
  readonly mayMiss: boolean;
  /** What is done about a class that the encoder does not know. */
  readonly unseen: "error" | "zeros";
}

/** The faults of a request. Reading ends when there are as many as an answer describes. */
export class Faults {
  readonly #list: Fault[];
  /** How many of the list are older. */
  readonly #before: number;
  /** The number of a row among all. */
  readonly #numberOf: (row: number) => number;

  constructor(numberOf: (row: number) => number = (row) => row, list: Fault[] = []) {
    this.#list = list;
    this.#before = list.length;
    this.#numberOf = numberOf;
  }

  /** Of some of the rows. They are told with the others. */
  of(rows: ArrayLike<number>): Faults {
    return new Faults((row) => this.#numberOf(rows[row]), this.#list);
  }

  get any(): boolean {
    return this.#list.length > this.#before;
  }

  /** @throws Problem if there are too many */
  add([list, row, ...path]: readonly PropertyKey[], message: string): void {
    const place = typeof row === "number" ? [list, this.#numberOf(row), ...path] : [list];
    this.#list.push({ pointer: pointer(place), message });
    if (this.#list.length === MAX_FAULTS) this.settle();
  }

  /** @throws Problem if there are any */
  settle(): void {
    if (this.#list.length > 0) throw faulty("invalid_spec", this.#list);
  }
}

/** A code that no encoder gives an input: all inputs of the column are 0. */
const UNSEEN_CODE = MISSING_CODE - 1;

/** What a column of rows becomes, in one of the model's inputs. */
export interface Use {
  readonly input: InputEncoding;
  readonly encoder: Encoder;
}

/** That of its values: a column may also be used to tell whether they are missing. */
export function useOf(name: string, inputs: readonly InputEncoding[]): Use {
  const uses = inputs.flatMap((input) => {
    const encoder = input.encoders.find(({ column, type }) => column === name && type !== "missing_indicator");
    return encoder === undefined ? [] : [{ input, encoder }];
  });
  return uses[0];
}

/** The columns of rows, for all inputs of a model. */
export class RowColumns implements ColumnSource {
  readonly rows: number;
  readonly #rows: Rows;
  readonly #inputs: readonly InputEncoding[];
  readonly #rules: CellRules;
  readonly #faults: Faults;
  /** Where two inputs use a column, its faults are told once. */
  readonly #read = new Map<string, SourceColumn>();

  constructor(rows: Rows, inputs: readonly InputEncoding[], rules: CellRules, faults: Faults) {
    this.rows = rows.count;
    this.#rows = rows;
    this.#inputs = inputs;
    this.#rules = rules;
    this.#faults = faults;
  }

  async column(name: string): Promise<SourceColumn> {
    const known = this.#read.get(name) ?? this.#column(useOf(name, this.#inputs));
    this.#read.set(name, known);
    return known;
  }

  async texts(name: string): Promise<RowTexts> {
    const { vocabulary } = useOf(name, this.#inputs).encoder as TextEncoder;
    const { mayMiss, unseen, reader } = this.#rules;
    const unknown = new Set<number>();
    const texts = Array.from({ length: this.rows }, (_, row) => {
      const cell = this.#rows.cell(row, name);
      const isAbsent = cell === null || (typeof cell === "string" && reader.isMissing(cell, true));
      const fault = textFault(cell, isAbsent, mayMiss);
      if (fault !== null) this.#faults.add(["rows", row, name], fault);
      const text = typeof cell === "string" && !isAbsent ? Buffer.from(cell) : Buffer.alloc(0);
      if (unseen === "zeros") return text;
      unknown.clear();
      tokenizerOf(vocabulary).encode(
        text,
        () => undefined,
        (point) => unknown.add(point),
      );
      if (unknown.size > 0) this.#faults.add(["rows", row, name], unknownCharacters(unknown));
      return text;
    });
    return { at: (row) => texts[row] };
  }

  #column({ input, encoder }: Use): SourceColumn {
    if (encoder.type === "text") throw new Error("A text is no column of numbers.");
    const { column } = encoder;
    if (encoder.type === "tensor") return { values: this.#elements(column, input), classes: null };
    if (encoder.type === "categorical") {
      const values = this.#each(column, new Uint16Array(this.rows), codeOf(encoder, this.#rules));
      return { values, classes: encoder.classes };
    }
    const values = this.#each(column, new Float64Array(this.rows), numberOf(encoder, input, this.#rules));
    return { values, classes: null };
  }

  #elements(column: string, input: InputEncoding): Float64Array {
    const width = size(input.shape);
    const elements = new Float64Array(this.rows * width);
    for (let row = 0; row < this.rows; row++) {
      const cell = this.#rows.cell(row, column);
      if (cell === undefined) this.#faults.add(["rows", row, column], ABSENT);
      else
        writeElements(cell, input, elements, row, (path, message) =>
          this.#faults.add(["rows", row, column, ...path], message),
        );
    }
    return elements;
  }

  /** Fills a column with what `read` makes of its cells: a number, or the fault of the cell. */
  #each<T extends Float64Array | Uint16Array>(column: string, values: T, read: ReadCell): T {
    for (let row = 0; row < this.rows; row++) {
      const cell = this.#rows.cell(row, column);
      const value = cell === undefined ? ABSENT : read(cell);
      if (typeof value === "number") values[row] = value;
      else this.#faults.add(["rows", row, column], value);
    }
    return values;
  }
}

/** What a cell is read as: a number or a code, or the fault that the cell has. */
export type ReadCell = (cell: Cell) => number | string;

/** Reads cells of numbers and dates. A missing cell that is replaced is not a number. */
export function numberOf(
  encoder: Exclude<Encoder, { type: "categorical" | "tensor" | "text" }>,
  input: InputEncoding,
  { reader }: Pick<CellRules, "reader">,
): ReadCell {
  const mayMiss = "fill" in encoder && encoder.fill !== null;
  const read = encoder.type === "date" ? dateIn : numberIn;
  const range = input.type === "int32" ? rangeOf(input, encoder) : null;
  return (cell) => {
    if (isMissing(cell, reader, false)) return mayMiss ? Number.NaN : MISSING;
    const value = read(cell, reader, encoder.column);
    return typeof value === "number" && range !== null ? inRange(value, range) : value;
  };
}

/**
 * Reads cells of classes, as the code that a class has among the encoder's.
 * @param unknown what a class is read as that is not among them
 */
export function codeOf(
  { column, classes }: Pick<CategoricalEncoder, "column" | "classes">,
  { mayMiss, unseen, reader }: CellRules,
  unknown: ReadCell = (cell) => (unseen === "zeros" ? UNSEEN_CODE : unknownClass(cell, classes)),
): ReadCell {
  const codes = new Map(classes.map((name, code) => [name, code]));
  const kind = kindOf(classes);
  const valuesIn = (text: string) => (kind === "dates" ? datesIn(text, column, reader) : numbersIn(text, kind, reader));
  return (cell) => {
    // A cell in quotes keeps its spaces, and " - " may be a class where - is missing.
    const own = typeof cell === "string" && !reader.isMissing(cell, kind === "texts") ? codes.get(cell) : undefined;
    if (own !== undefined) return own;
    if (isMissing(cell, reader, kind === "texts")) return mayMiss ? MISSING_CODE : MISSING;
    const code = spellings(cell, classes, valuesIn).flatMap((text) => codes.get(text) ?? [])[0];
    if (code !== undefined) return code;
    return typeof cell === "object" ? `must be a class, not ${shown(cell)}` : unknown(cell);
  };
}

function isMissing(cell: Cell, reader: CellReader, amongTexts: boolean): boolean {
  return cell === null || (typeof cell === "string" && reader.isMissing(cell.trim(), amongTexts));
}

const ABSENT = "is required: the model predicts from this column";
export const MISSING = "is missing, and no training row missed it: nothing replaces it";

function textFault(cell: Cell, isMissing: boolean, mayMiss: boolean): string | null {
  if (cell === undefined) return ABSENT;
  if (isMissing) return mayMiss ? null : MISSING;
  return typeof cell === "string" ? null : `must be a text, not ${shown(cell)}`;
}

const MOST_CHARACTERS_TOLD = 10;

/** @param points code points that no token stands for */
export function unknownCharacters(points: ReadonlySet<number>): string {
  const characters = Array.from(points, (point) => JSON.stringify(String.fromCodePoint(point)));
  const first = characters.slice(0, MOST_CHARACTERS_TOLD).join(", ");
  const more = characters.length > MOST_CHARACTERS_TOLD ? ` and ${characters.length - MOST_CHARACTERS_TOLD} more` : "";
  return `has ${first}${more}, which the training text lacks: the model has no tokens for them`;
}

export function numberIn(cell: Cell, reader: CellReader): number | string {
  if (typeof cell === "number") return Number.isFinite(cell) ? cell : TOO_LARGE;
  if (typeof cell !== "string") return `must be a number, not ${shown(cell)}`;
  const read = reader.number(cell);
  return "value" in read ? read.value : read.fault;
}

export function dateIn(cell: Cell, reader: CellReader, column: string): number | string {
  if (typeof cell !== "string") return `must be a date such as "2024-01-31", not ${shown(cell)}`;
  const read = reader.date(cell.trim(), column);
  return "value" in read ? read.value : read.fault;
}

/** How many whole numbers from 0 the column may hold; null: that is not known. */
function rangeOf({ categories = null, encoders }: InputEncoding, encoder: Encoder): number {
  if (typeof categories === "number") return categories;
  return categories?.[encoders.indexOf(encoder)] ?? 2 ** 31;
}

function inRange(value: number, range: number): number | string {
  return wholeFault(value, range) ?? value;
}

/**
 * Numbers: classes that `String` writes, so that the column may have held numbers. Dates likewise.
 */
type ClassKind = "numbers" | "dates" | "others" | "texts";

/** What the classes of a column are. Among texts some words are no missing cells. */
export function kindOf(classes: readonly string[]): ClassKind {
  if (classes.every((name) => String(Number(name)) === name)) return "numbers";
  if (classes.every((name) => dateTexts(Date.parse(name)).includes(name))) return "dates";
  const evidence = new Evidence(null);
  for (const name of classes) evidence.note(name, 0);
  return evidence.isOneKind || classes.every((name) => booleanOf(name) !== null) ? "others" : "texts";
}

/**
 * How a cell may be spelled among the classes. `valuesIn`: how classes spell the value that a text
 * has. Words for true and false may be in upper or lower case, unless two classes differ in nothing
 * else.
 */
function spellings(cell: Cell, classes: readonly string[], valuesIn: (text: string) => string[]): string[] {
  if (typeof cell === "boolean") return classes.filter((name) => booleanOf(name)?.value === cell);
  if (typeof cell === "number") return [String(cell)];
  if (typeof cell !== "string") return [];
  return [cell, cell.trim(), ...valuesIn(cell), ...sameWord(cell.trim(), classes)];
}

/**
 * A text is a number only among numbers: where a class is a code such as 007, 7 and 7.0 are others.
 */
function numbersIn(text: string, kind: ClassKind, reader: CellReader): string[] {
  const number = kind === "numbers" ? reader.number(text) : null;
  return number !== null && "value" in number && !number.isCode ? [String(number.value)] : [];
}

function datesIn(text: string, column: string, reader: CellReader): string[] {
  const date = reader.date(text.trim(), column);
  return "value" in date ? dateTexts(date.value) : [];
}

/** The class that is the same word for true or false, if there is one such class. */
function sameWord(cell: string, classes: readonly string[]): string[] {
  const same = booleanOf(cell) === null ? [] : classes.filter((name) => name.toLowerCase() === cell.toLowerCase());
  return same.length === 1 ? same : [];
}

const MOST_CLASSES_TOLD = 10;

function unknownClass(cell: Cell, classes: readonly string[]): string {
  const listed = classes.slice(0, MOST_CLASSES_TOLD).map((name) => shown(name));
  const more = classes.length > listed.length ? ` and ${classes.length - listed.length} more` : "";
  return `is ${shown(cell)}, which no training row has: the model knows ${listed.join(", ")}${more}`;
}

/**
 * The columns of samples that are nested arrays: the elements in order, or all of them. Where rows
 * that follow each other make a sample, the columns have those of all samples.
 */
export class SampleColumns implements ColumnSource {
  readonly rows: number;
  readonly #elements: Float64Array;
  readonly #input: InputEncoding;
  /** Elements of a row. */
  readonly #width: number;

  /** @throws Problem if some inputs of the model are no numbers of the data */
  constructor({ samples, count }: Samples, input: InputEncoding, faults: Faults) {
    const isNumbers = input.encoders.every(({ type }) => type === "numeric" || type === "tensor" || type === "text");
    if (!isNumbers) {
      faults.add(["inputs"], "cannot stand for this model's columns, which are not all numbers: send rows");
      faults.settle();
    }
    const isArray = input.encoders[0].type !== "numeric";
    this.#width = isArray ? size(input.shape) : input.encoders.length;
    this.rows = (count * size(input.shape)) / this.#width;
    this.#input = input;
    this.#elements = new Float64Array(count * size(input.shape));
    for (const [row, sample] of samples.entries())
      writeElements(sample, input, this.#elements, row, (path, message) =>
        faults.add(["inputs", row, ...path], message),
      );
  }

  /** The samples as the tokens that they are. */
  tokens(): InputArray {
    const { encoders: _, ...input } = this.#input;
    return { ...input, values: Int32Array.from(this.#elements) };
  }

  texts(): never {
    throw new Error("Samples that are arrays have no texts.");
  }

  async column(name: string): Promise<SourceColumn> {
    const place = this.#input.encoders.findIndex(({ column }) => column === name);
    if (this.#input.encoders[place].type === "tensor") return { values: this.#elements, classes: null };
    const values = new Float64Array(this.rows);
    for (let row = 0; row < this.rows; row++) values[row] = this.#elements[row * this.#width + place];
    return { values, classes: null };
  }
}
