/**
 * A table as a job sees it: its file of columns, with some columns converted to another type
 * (`data.columns` of the spec), and with the rows that the job chooses (`data.where`).
 */
import { booleanOf } from "../columns/cell-word.ts";
import type { DatasetSummary, TablePath } from "../beside.ts";
import { withColumns, type Columns } from "../files/beside-files.ts";
import { holdsDoubles, MISSING_CODE, missingTest, type ColumnValues } from "../columns/column.ts";
import { keepsTexts, type ColumnSummary } from "../dataset.ts";
import type { ColumnSource, SourceColumn } from "./apply.ts";
import type { DataSpec } from "./encoding.ts";
import { NO_READING } from "../reading.ts";
import type { TensorValues } from "../tensors/elements.ts";
import { CodedTexts } from "../text/coded-texts.ts";
import type { RowTexts, Texts } from "../text/texts.ts";
import { isArray, type TableSummary } from "./features.ts";
import { viewColumn, type ColumnView } from "../columns/view.ts";
import { rowsWhere } from "./where.ts";

type Views = DataSpec["columns"];
type Convert = ColumnView["convert"];

export interface ViewFault {
  readonly column: string;
  readonly message: string;
}

/**
 * The summary of the table with the declared types, and the faults of these types. It does not
 * count the cells that a view makes missing; `ViewedFile` does.
 */
export function viewTable(dataset: DatasetSummary, views: Views): { table: TableSummary; faults: ViewFault[] } {
  const names = Object.keys(views);
  const table = tableOf(dataset);
  if (names.length === 0) return { table, faults: [] };
  const faults: ViewFault[] = [];
  const columns = table.columns.map((column) => {
    if (!Object.hasOwn(views, column.name)) return column;
    const viewed = viewColumn(column, views[column.name], table.reading);
    if (!("fault" in viewed)) return viewed.summary;
    faults.push({ column: column.name, message: viewed.fault });
    return column;
  });
  const known = new Set(columns.map(({ name }) => name));
  for (const name of names)
    if (!known.has(name)) faults.push({ column: name, message: "is not a column of the dataset" });
  return { table: { ...table, columns }, faults };
}

/** The summary of a dataset as jobs look at it. */
export function tableOf({ rows, columns, reading }: DatasetSummary): TableSummary {
  return { rows, columns: columns.map(asNumeric), reading: reading ?? NO_READING };
}

function asNumeric(column: ColumnSummary): ColumnSummary {
  if (column.type !== "tensor" || column.shape.length > 0) return column;
  const { dtype: _, shape: __, ...facts } = column;
  return { ...facts, type: "numeric" };
}

const NONE: ReadonlyMap<number, Convert> = new Map();

export class ViewedFile implements ColumnSource {
  /** It has the number of missing cells of every column. */
  readonly content: TableSummary;
  readonly #file: Columns;
  readonly #converted: ReadonlyMap<number, Convert>;
  readonly #indices: ReadonlyMap<string, number>;
  /** The number in the file of each row; null: they are the rows of the file, in its order. */
  readonly #rows: Int32Array | null;

  private constructor(
    file: Columns,
    content: TableSummary,
    converted: ReadonlyMap<number, Convert>,
    rows: Int32Array | null = null,
    indices: ReadonlyMap<string, number> | null = null,
  ) {
    this.#file = file;
    this.#rows = rows;
    this.content = content;
    this.#converted = converted;
    this.#indices = indices ?? new Map(content.columns.map(({ name }, index) => [name, index]));
  }

  /**
   * Opens a table, hands it to `use`, and closes it whatever happens.
   * @throws DamagedFile if a file is missing or not as it was written, and whatever `use` throws
   */
  static with<T>(
    table: TablePath,
    data: Pick<DataSpec, "columns" | "where">,
    use: (file: ViewedFile) => Promise<T>,
  ): Promise<T> {
    return withColumns(table, async (file) => {
      const whole = await ViewedFile.#of(file, data.columns);
      const chosen = await rowsWhere(whole, data);
      return await use(chosen === null ? whole : await whole.#choosing(chosen));
    });
  }

  /** A table in memory whose columns have the types of the job already, with this summary. */
  static over(columns: Columns, content: TableSummary): ViewedFile {
    return new ViewedFile(columns, content, NONE);
  }

  /** Other rows of the same columns. */
  part(columns: Columns, content: TableSummary): ViewedFile {
    return new ViewedFile(columns, content, NONE, null, this.#indices);
  }

  static async #of(file: Columns, views: Views): Promise<ViewedFile> {
    const { rows, columns: known, reading } = tableOf(file.content);
    const columns = [...known];
    const converted = new Map<number, Convert>();
    for (const [index, column] of columns.entries()) {
      if (!Object.hasOwn(views, column.name)) continue;
      const viewed = viewColumn(column, views[column.name], reading);
      if ("fault" in viewed) throw new Error(`The dataset does not fit the spec: ${viewed.fault}.`);
      converted.set(index, viewed.convert);
      const values = viewed.convert(await recordedValues(file, index));
      columns[index] = { ...viewed.summary, missing: values === null ? column.missing : missingIn(values) };
    }
    return new ViewedFile(file, { rows, columns, reading }, converted);
  }

  /** The same file with its rows in another order. */
  inOrder(order: Int32Array): ViewedFile {
    const before = this.#rows;
    const rows = before === null ? order : order.map((row) => before[row]);
    return new ViewedFile(this.#file, this.content, this.#converted, rows);
  }

  /** The same file with some of its rows. */
  async #choosing(rows: Int32Array): Promise<ViewedFile> {
    const { columns, reading } = this.content;
    const some = new ViewedFile(this.#file, { ...this.content, rows: rows.length }, this.#converted, rows);
    const counted: ColumnSummary[] = [];
    for (const [index, column] of columns.entries())
      counted.push(column.missing === 0 ? column : { ...column, missing: missingIn(await some.values(index)) });
    return new ViewedFile(this.#file, { rows: rows.length, columns: counted, reading }, this.#converted, rows);
  }

  get rows(): number {
    return this.content.rows;
  }

  /** The number of a row in the file. */
  numberIn(row: number): number {
    return this.#rows === null ? row : this.#rows[row];
  }

  async column(name: string): Promise<SourceColumn> {
    const index = this.index(name);
    const summary = this.content.columns[index];
    const values = isArray(summary) ? await this.elements(index) : await this.values(index);
    return { values, classes: summary.classes };
  }

  /** The number of the column with this name. */
  index(name: string): number {
    const index = this.#indices.get(name);
    if (index === undefined) throw new Error(`The dataset has no column ${JSON.stringify(name)}.`);
    return index;
  }

  /** The values of a boolean column are 1 for true and 0 for false. */
  async numbers(index: number): Promise<Float64Array> {
    const values = await this.values(index);
    if (values instanceof Float64Array) return values;
    const truth = (this.content.columns[index].classes ?? []).map((name) => Number(booleanOf(name)?.value));
    return Float64Array.from(values, (code) => (code === MISSING_CODE ? Number.NaN : truth[code]));
  }

  /** Of a tensor column: the elements of all rows. */
  async elements(index: number): Promise<TensorValues> {
    const elements = await this.#file.elements(index);
    return this.#rows === null ? elements : picked(elements, this.#rows, elements.length / this.#file.content.rows);
  }

  /** Of a text column: its bytes. */
  async text(index: number): Promise<Uint8Array> {
    return await this.#file.text(index);
  }

  /** Of a column that has texts. */
  async texts(name: string): Promise<RowTexts> {
    const texts = await this.#wholeTexts(this.index(name));
    const rows = this.#rows;
    return rows === null ? texts : { at: (row) => texts.at(rows[row]) };
  }

  /** The recorded texts of all rows. */
  async #wholeTexts(index: number): Promise<Texts | CodedTexts> {
    const recorded = this.#file.content.columns[index];
    if (keepsTexts(recorded)) return await this.#file.texts(index);
    return CodedTexts.ofClasses(await this.#file.codes(index), recorded.classes ?? []);
  }

  /** Of a column that has texts. */
  async codedTexts(index: number): Promise<CodedTexts> {
    const { classes } = this.content.columns[index];
    if (classes !== null) return CodedTexts.ofClasses(await this.codes(index), classes);
    const texts = await this.#wholeTexts(index);
    const coded = texts instanceof CodedTexts ? texts : CodedTexts.ofRows(texts);
    return this.#rows === null ? coded : new CodedTexts(picked(coded.codes, this.#rows, 1), coded.texts);
  }

  async codes(index: number): Promise<Uint16Array> {
    return (await this.values(index)) as Uint16Array;
  }

  /**
   * Numbers or codes, whichever the column holds. Of texts that are no classes only whether they
   * are missing; none if they are not kept.
   */
  async values(index: number): Promise<Float64Array | Uint16Array> {
    const recorded = await recordedValues(this.#file, index);
    const convert = this.#converted.get(index);
    const values = (convert === undefined ? recorded : convert(recorded)) ?? new Uint16Array();
    // Texts that are not kept have no values.
    return this.#rows === null || values.length === 0 ? values : picked(values, this.#rows, 1);
  }
}

/** The elements of these rows, `each` of a row. */
function picked<T extends TensorValues | Uint32Array>(values: T, rows: Int32Array, each: number): T {
  const chosen = new (values.constructor as new (length: number) => T)(rows.length * each);
  for (const [at, row] of rows.entries()) {
    if (each === 1) chosen[at] = values[row];
    else chosen.set(values.subarray(row * each, (row + 1) * each), at * each);
  }
  return chosen;
}

async function recordedValues(file: Columns, index: number): Promise<NonNullable<ColumnValues>> {
  const column = file.content.columns[index];
  if (column.type === "text") return new Uint16Array();
  if (column.type === "tensor") return Float64Array.from(await file.elements(index));
  if (keepsTexts(column)) return presence(await file.texts(index));
  const values = holdsDoubles(column) ? file.numbers(index) : file.codes(index);
  return (await values) as NonNullable<ColumnValues>;
}

/** The code 0 for a text, whatever it is. */
function presence(texts: Texts | CodedTexts): Uint16Array<ArrayBuffer> {
  const codes = new Uint16Array(texts.rows);
  for (let row = 0; row < codes.length; row++) if (texts.isMissing(row)) codes[row] = MISSING_CODE;
  return codes;
}

export function missingIn(values: Float64Array | Uint16Array): number {
  const isMissing = missingTest(values);
  let count = 0;
  for (const value of values) if (isMissing(value)) count++;
  return count;
}
