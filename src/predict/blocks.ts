/*
 * The columns of a dataset's file as the encoders of a model read them, some rows at a time. A cell
 * is read as `predict` reads it: a number of the file as a number, a class as the text that it is.
 * What a class is read as is looked up once.
 */
import type { Columns } from "../data/files/beside-files.ts";
import type { ColumnScan } from "../data/files/column-file.ts";
import { holdsDoubles, MISSING_CODE } from "../data/columns/column.ts";
import type { ColumnSummary } from "../data/dataset.ts";
import type { ColumnSource, SourceColumn } from "../data/encode/apply.ts";
import type { Encoder, InputEncoding } from "../data/encode/encoding.ts";
import { shown } from "../data/columns/cell-reader.ts";
import { momentText } from "../data/encode/where.ts";
import type { Fault } from "../contract/resolve/faults.ts";
import { fitsShape, size } from "../engine/member/shape.ts";
import { codeOf, numberOf, useOf, type CellRules, type Faults, type ReadCell, type Use } from "./columns.ts";
import { leafFault, rangeAt } from "./samples.ts";

/** The columns that a model predicts from, each once. */
export function columnsOf(inputs: readonly InputEncoding[]): string[] {
  return [...new Set(inputs.flatMap(({ encoders }) => encoders.map(({ column }) => column)))];
}

/** Why a dataset cannot be predicted from, whatever its rows hold. */
export function unfit(inputs: readonly InputEncoding[], columns: readonly ColumnSummary[]): Fault[] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  return columnsOf(inputs).flatMap((name) => {
    const column = byName.get(name);
    const why = column === undefined ? "lacks" : unfitColumn(useOf(name, inputs), column);
    if (why === null) return [];
    const what = column === undefined ? `lacks the column ${shown(name)}` : `has the column ${shown(name)}, ${why}`;
    return [{ pointer: "/dataset", message: `${what}: the model predicts from it` }];
  });
}

function unfitColumn({ encoder, input }: Use, column: ColumnSummary): string | null {
  if (encoder.type === "text") return "whose texts the model takes; send them as rows to …/predict";
  const shape = column.type === "tensor" ? column.shape : [];
  if (encoder.type === "tensor") {
    const [given, taken] = [shape.join(" × ") || "one number", input.shape.join(" × ")];
    if (column.type !== "tensor") return `whose cells are no arrays of ${taken}`;
    return fitsShape(shape, input.shape) ? null : `whose cells are ${given}, and the model takes ${taken}`;
  }
  if (shape.length > 0) return `whose cells are arrays of ${shape.join(" × ")}, and the model takes single ones`;
  if (column.type === "text") return "which is a text";
  const isListed = holdsDoubles(column) || column.type === "tensor" || column.classes !== null;
  if (!isListed) return "which has too many values to be classes";
  const isTime = column.type === "date";
  if (isTime && encoder.type === "numeric") return "which holds dates, and the model takes numbers";
  if (encoder.type === "date" && !isTime && column.classes === null) return "which holds no dates";
  return null;
}

type Values = Float64Array | Uint16Array | SourceColumn["values"];

/** Makes of the values of a column what an encoder reads. */
type Convert = (values: Values, faults: Faults) => SourceColumn;

interface Scanned {
  readonly scan: ColumnScan;
  readonly convert: Convert;
}

export class BlockColumns implements ColumnSource {
  /** With those that are kept from the block before. */
  rows = 0;
  /** How many of them. */
  kept = 0;
  readonly #keep: number;
  readonly #columns: ReadonlyMap<string, Scanned>;
  #block = new Map<string, SourceColumn>();

  /** @param keep how many of the last rows come again with the next block */
  constructor(table: Columns, inputs: readonly InputEncoding[], rules: CellRules, keep = 0) {
    this.#keep = keep;
    const { columns } = table.content;
    const indices = new Map(columns.map(({ name }, index) => [name, index]));
    this.#columns = new Map(
      columnsOf(inputs).map((name) => {
        const index = indices.get(name)!;
        const convert = converter(name, useOf(name, inputs), columns[index], rules);
        return [name, { scan: table.scan(index), convert }];
      }),
    );
  }

  /** What a row takes in memory, before it is encoded. */
  get rowBytes(): number {
    // What is read, and the doubles that it may become.
    return [...this.#columns.values()].reduce((sum, { scan }) => sum + scan.rowBytes + 8, 0);
  }

  /** Reads the next rows. Their faults go to `faults`. */
  async next(rows: number, faults: Faults): Promise<void> {
    this.kept = Math.min(this.#keep, this.rows);
    this.rows = this.kept + rows;
    const before = this.#block;
    this.#block = new Map();
    for (const [name, { scan, convert }] of this.#columns)
      this.#block.set(name, after(before.get(name), this.kept, convert(await scan.next(rows), faults)));
  }

  /** `unfit` refuses them. */
  texts(): never {
    throw new Error("Texts are not read in blocks.");
  }

  async column(name: string): Promise<SourceColumn> {
    return this.#block.get(name)!;
  }
}

function converter(name: string, use: Use, summary: ColumnSummary, rules: CellRules): Convert {
  const { encoder, input } = use;
  if (encoder.type === "tensor") return (values, faults) => checkedElements(name, values, input, faults);
  const classes = encoder.type === "categorical" ? encoder.classes : null;
  const read = encoder.type === "categorical" ? codeOf(encoder, rules) : numberOf(encoder as Single, input, rules);
  const of = valueReader(read, encoder.type, summary);
  return (values, faults) => {
    const made = classes === null ? new Float64Array(values.length) : new Uint16Array(values.length);
    for (let row = 0; row < made.length; row++) {
      const value = of(values[row]);
      if (typeof value === "number") made[row] = value;
      else faults.add(["rows", row, name], value);
    }
    return { values: made, classes };
  };
}

/** A column after the last values of the block before. Only single cells are kept. */
function after(before: SourceColumn | undefined, kept: number, column: SourceColumn): SourceColumn {
  if (kept === 0 || before === undefined) return column;
  const [last, { values, classes }] = [before.values.subarray(before.values.length - kept), column];
  const all =
    values instanceof Uint16Array ? new Uint16Array(kept + values.length) : new Float64Array(kept + values.length);
  all.set(last as ArrayLike<number>);
  all.set(values as ArrayLike<number>, kept);
  return { values: all, classes };
}

type Single = Exclude<Encoder, { type: "categorical" | "tensor" | "text" }>;

/** Reads the values of a column as cells. */
function valueReader(
  read: ReadCell,
  wanted: Encoder["type"],
  { type, classes }: ColumnSummary,
): (value: number) => number | string {
  if (type === "date") {
    const missing = () => read(null);
    if (wanted === "date") return (value) => (Number.isNaN(value) ? missing() : value);
    return (value) => (Number.isNaN(value) ? missing() : read(dateText(value)));
  }
  if (type === "numeric" || type === "tensor") return (value) => read(Number.isNaN(value) ? null : value);
  const known: (number | string)[] = [];
  let missing: number | string | undefined;
  return (code) => {
    if (code === MISSING_CODE) return (missing ??= read(null));
    return (known[code] ??= read(classes![code]));
  };
}

/** A block of some columns, whose rows go to several models. */
export class RawBlock {
  readonly #scans: ReadonlyMap<string, ColumnScan>;
  #values = new Map<string, Values>();

  constructor(table: Columns, names: readonly string[]) {
    const { columns } = table.content;
    this.#scans = new Map(names.map((name) => [name, table.scan(columns.findIndex((column) => column.name === name))]));
  }

  /** What a row takes in memory, before it is encoded. */
  get rowBytes(): number {
    return [...this.#scans.values()].reduce((sum, { rowBytes }) => sum + rowBytes, 0);
  }

  async next(rows: number): Promise<void> {
    for (const [name, scan] of this.#scans) this.#values.set(name, await scan.next(rows));
  }

  /** A cell as `predict` takes it. */
  cell(name: string, row: number): string | number | null {
    const value = this.#values.get(name)![row];
    const { type, classes } = this.#scans.get(name)!.summary;
    if (type === "numeric" || type === "tensor") return Number.isNaN(value) ? null : value;
    if (type === "date") return Number.isNaN(value) ? null : momentText(value);
    return value === MISSING_CODE ? null : classes![value];
  }

  /** Some of the rows as a model reads them. The faults of their cells go to `faults`. */
  part(rows: readonly number[], inputs: readonly InputEncoding[], rules: CellRules, faults: Faults): ColumnSource {
    // Where two inputs use a column, its faults are told once.
    const read = new Map<string, SourceColumn>();
    const column = (name: string) => {
      const { summary } = this.#scans.get(name)!;
      const values = picked(this.#values.get(name)!, rows, summary.type === "tensor" ? size(summary.shape) : 1);
      return converter(name, useOf(name, inputs), summary, rules)(values, faults);
    };
    return {
      rows: rows.length,
      async column(name) {
        const known = read.get(name) ?? column(name);
        read.set(name, known);
        return known;
      },
      texts() {
        throw new Error("Texts are not read in blocks.");
      },
    };
  }
}

/** The elements of some rows, `each` of a row. */
function picked(values: Values, rows: readonly number[], each: number): Values {
  const chosen = new (values.constructor as new (length: number) => Values)(rows.length * each);
  for (const [at, row] of rows.entries()) for (let i = 0; i < each; i++) chosen[at * each + i] = values[row * each + i];
  return chosen;
}

/** As the classes of a column of dates are written. */
function dateText(value: number): string {
  return new Date(value).toISOString().replace("T00:00:00.000Z", "");
}

function checkedElements(name: string, values: Values, input: InputEncoding, faults: Faults): SourceColumn {
  const width = size(input.shape);
  if (input.type === "int32") {
    for (let at = 0; at < values.length; at++) {
      const fault = leafFault(values[at], rangeAt(input, at % width));
      if (fault !== null) faults.add(["rows", Math.floor(at / width), name, at % width], fault);
    }
  }
  return { values, classes: null };
}
