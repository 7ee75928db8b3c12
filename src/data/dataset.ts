/**
 * A dataset as the rest of the service sees it: what its columns hold, and why a file may be
 * refused.
 */
import type { DateOrder, Reading } from "./reading.ts";
import type { Dtype } from "./tensors/dtype.ts";

/** What the bytes of a dataset are. */
export const formats = ["csv", "npy", "npz", "safetensors", "idx", "parquet", "arrow", "text"] as const;
export type DatasetFormat = (typeof formats)[number];

interface ColumnFacts {
  readonly name: string;
  /** Cells without a value. */
  readonly missing: number;
  /**
   * Null if the column is categorical or boolean, or has no values. For dates they are milliseconds
   * since 1970-01-01T00:00:00Z.
   */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /**
   * The distinct values in ascending order, or null if there are too many (see `MAX_CLASSES`).
   * Dates are written as in ISO 8601.
   */
  readonly classes: string[] | null;
  /**
   * Whether the column names rows instead of describing them: it has more than 20 values, all of
   * them texts or integers, and more than 95 % of them differ. Such a column is not a default
   * feature.
   */
  readonly all_different: boolean;
  /**
   * The cell that made the column categorical although other cells are numbers or dates, or that
   * makes a column of numbers doubtful.
   */
  readonly reason: Reason | null;
}

export interface TableColumn extends ColumnFacts {
  /** A column without values is numeric. */
  readonly type: "numeric" | "categorical" | "date" | "boolean";
  /** Of dates whose cells tell whether the day or the month comes first. */
  readonly date_order?: DateOrder;
  /**
   * Of a column without classes: the bytes of its texts in UTF-8. Null or not there if they are not
   * kept.
   */
  readonly text_bytes?: number | null;
}

/**
 * A column with an array in each row. `min` and `max` are those of all its numbers; `mean` is null
 * unless a row is a single number. `classes` are the distinct numbers, if a row is a single number
 * or an array of whole numbers.
 */
export interface TensorColumn extends ColumnFacts {
  readonly type: "tensor";
  readonly dtype: Dtype;
  /** Of one row. */
  readonly shape: readonly number[];
}

/** The only column of a text. `classes` are its characters, in the order of their code points. */
export interface TextColumn extends ColumnFacts {
  readonly type: "text";
  readonly bytes: number;
}

export type ColumnSummary = TableColumn | TensorColumn | TextColumn;

export interface Reason {
  readonly line: number;
  readonly cell: string;
  readonly message: string;
}

/** The content of a dataset's bytes, with the names of the wire. */
export interface DatasetContent {
  readonly sha256: string;
  readonly bytes: number;
  /** Null unless the bytes are a CSV table: all others can be read in one way only. */
  readonly reading: Reading | null;
  /** Of a text: its characters. */
  readonly rows: number;
  readonly columns: ColumnSummary[];
}

/** What the bytes of a dataset are, if they are of no other format. Null: they must be of one. */
export type PlainFormat = "csv" | "text" | null;

/** The same for a dataset that has been read. */
export function plainFormatOf({ reading, columns }: Pick<DatasetContent, "reading" | "columns">): PlainFormat {
  if (reading !== null) return "csv";
  return columns.some(({ type }) => type === "text") ? "text" : null;
}

/** Whether the file of columns has the texts of a column. */
export function keepsTexts(column: ColumnSummary): boolean {
  return "text_bytes" in column && typeof column.text_bytes === "number";
}

/** A dataset whose files are kept. */
export interface StoredDataset extends DatasetContent {
  /**
   * The SHA-256 of its file of columns. The file's header holds the content, so the hash stands for
   * the bytes and their reading. Null if an earlier version recorded the dataset: then the columns
   * are named by the hash of the bytes.
   */
  readonly columns_sha256: string | null;
}

/** A dataset that has just been read. */
export interface ReadContent extends StoredDataset {
  readonly format: DatasetFormat;
  readonly columns_sha256: string;
}

/** The hashes that the files of a dataset are named by. */
export type Named = Pick<StoredDataset, "sha256" | "columns_sha256">;

/**
 * The file of the bytes as they came, which all readings and all owners share. It has this name
 * whatever the format, since the first datasets were tables.
 */
export function csvFile({ sha256 }: Pick<Named, "sha256">): string {
  return `${sha256}.csv`;
}

export function columnsFile(dataset: Named): string {
  return `${columnsName(dataset)}.columns`;
}

export function filesOf(dataset: Named): string[] {
  return [columnsFile(dataset), csvFile(dataset)];
}

/** The hash that names its columns. */
export function columnsName({ sha256, columns_sha256 }: Named): string {
  return columns_sha256 ?? sha256;
}

export const MAX_COLUMNS = 10_000;

/** How many distinct values a column may have and still list them as classes. */
export const MAX_CLASSES = 1000;

/** A longer cell is text, not the name of a class. */
export const MAX_CLASS_LENGTH = 256;

/**
 * How many classes a dataset lists in all columns together. If there are more, the columns with the
 * fewest classes keep theirs. This keeps the record of a dataset small.
 */
export const MAX_CLASSES_LISTED = 50_000;

/**
 * The same limit in characters. 50,000 long names would make a record of 40 MB, which every request
 * for it would parse.
 */
export const MAX_CLASS_CHARACTERS_LISTED = 4 * 2 ** 20;

export const MAX_NAME_LENGTH = 256;

/**
 * How many bytes of texts, in UTF-8, a dataset keeps in all its columns that list no classes. If
 * there are more, the longest columns keep each different text once, and then none.
 */
export const MAX_TEXT_BYTES = 2 ** 27;

/** How many different texts a column may have, and with how many bytes, to keep each once. */
export const MAX_DICTIONARY_TEXTS = 1_000_000;
export const MAX_DICTIONARY_BYTES = 2 ** 26;

/** A cell of a table, or a text of a file of columns. */
export const MAX_CELL_LENGTH = 65_536;

/** The length of all column names together, since the record holds them too. */
export const MAX_NAME_CHARACTERS = 2 ** 20;

/**
 * The bytes are no dataset. `line` counts the lines of the file from 1; for a row it is the
 * line on which the row starts. Null: the fault is not on a single line.
 */
export class InvalidDataset extends Error {
  readonly line: number | null;
  constructor(message: string, line: number | null) {
    super(message);
    this.line = line;
  }
}

/** The bytes are of no format that is recognised, and must not be taken for a table. */
export class UnrecognisedDataset extends Error {}

export class DatasetTooLarge extends Error {
  readonly limitBytes: number;
  constructor(limitBytes: number) {
    super(`A dataset may have at most ${limitBytes} bytes.`);
    this.limitBytes = limitBytes;
  }
}

/**
 * A dataset's bytes are gone, or they have changed, here and everywhere else; or this version reads
 * them differently.
 */
export class DatasetLost extends Error {
  readonly remedy: string;
  constructor(message: string, remedy = "Upload the same bytes again: that repairs it.") {
    super(message);
    this.remedy = remedy;
  }
}
