/**
 * A dataset as the rest of the service sees it: what its columns hold, and why a file may be
 * refused.
 */
import type { Reading } from "./reading.ts";

export interface ColumnSummary {
  readonly name: string;
  /** A column without values is numeric. */
  readonly type: "numeric" | "categorical" | "date" | "boolean";
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

export interface Reason {
  readonly line: number;
  readonly cell: string;
  readonly message: string;
}

/** The content of a dataset's bytes, with the names of the wire. */
export interface DatasetContent {
  readonly sha256: string;
  readonly bytes: number;
  readonly reading: Reading;
  readonly rows: number;
  readonly columns: ColumnSummary[];
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

/** A table that has just been read. */
export interface ReadContent extends StoredDataset {
  readonly columns_sha256: string;
}

/** The hashes that the files of a dataset are named by. */
export type Named = Pick<StoredDataset, "sha256" | "columns_sha256">;

/** The file of the bytes as they came. All readings and all owners share it. */
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

/** The length of all column names together, since the record holds them too. */
export const MAX_NAME_CHARACTERS = 2 ** 20;

/**
 * The bytes are not a CSV table. `line` counts the lines of the file from 1; for a row it is the
 * line on which the row starts. Null: the fault is not on a single line.
 */
export class InvalidDataset extends Error {
  readonly line: number | null;
  constructor(message: string, line: number | null) {
    super(message);
    this.line = line;
  }
}

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
