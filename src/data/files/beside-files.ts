/** The files of datasets side by side, read as one file of columns. */
import { sideBySide, type DatasetSummary, type TablePath, type TablePart } from "../beside.ts";
import type { TensorValues } from "../tensors/elements.ts";
import type { CodedTexts } from "../text/coded-texts.ts";
import type { Texts } from "../text/texts.ts";
import { ColumnFile, type ColumnScan } from "./column-file.ts";

/** What a table is read from: columns by their number. */
export interface Columns {
  readonly content: DatasetSummary;
  /** Reads a column from its first row to its last, some rows at a time. */
  scan(index: number): ColumnScan;
  numbers(index: number): Promise<Float64Array>;
  codes(index: number): Promise<Uint16Array>;
  /** Of a tensor column. */
  elements(index: number): Promise<TensorValues>;
  /** Of a column of a table that keeps its texts. */
  texts(index: number): Promise<Texts | CodedTexts>;
  /** Of a text column: its bytes. */
  text(index: number): Promise<Uint8Array>;
}

/**
 * Opens a table, hands it to `use`, and closes it whatever happens.
 * @throws DamagedFile if a file is missing or not as it was written, and whatever `use` throws
 */
export function withColumns<T>(table: TablePath, use: (columns: Columns) => Promise<T>): Promise<T> {
  if (typeof table === "string") return ColumnFile.with(table, use);
  return withFiles(table, [], (files) => use(new BesideFiles(table, files)));
}

async function withFiles<T>(
  parts: readonly TablePart[],
  opened: readonly ColumnFile[],
  use: (files: readonly ColumnFile[]) => Promise<T>,
): Promise<T> {
  if (opened.length === parts.length) return await use(opened);
  return await ColumnFile.with(parts[opened.length].path, (file) => withFiles(parts, [...opened, file], use));
}

class BesideFiles implements Columns {
  readonly content: DatasetSummary;
  /** The file of each column, and its number there. */
  readonly #places: readonly { readonly file: ColumnFile; readonly index: number }[];

  constructor(parts: readonly TablePart[], files: readonly ColumnFile[]) {
    this.content = sideBySide(files.map(({ content }, at) => ({ ...content, name: parts[at].name })));
    this.#places = files.flatMap((file) => file.content.columns.map((_, index) => ({ file, index })));
  }

  scan(at: number): ColumnScan {
    const { file, index } = this.#places[at];
    return file.scan(index);
  }

  numbers(at: number): Promise<Float64Array> {
    const { file, index } = this.#places[at];
    return file.numbers(index);
  }

  codes(at: number): Promise<Uint16Array> {
    const { file, index } = this.#places[at];
    return file.codes(index);
  }

  elements(at: number): Promise<TensorValues> {
    const { file, index } = this.#places[at];
    return file.elements(index);
  }

  texts(at: number): Promise<Texts | CodedTexts> {
    const { file, index } = this.#places[at];
    return file.texts(index);
  }

  text(at: number): Promise<Uint8Array> {
    const { file, index } = this.#places[at];
    return file.text(index);
  }
}
