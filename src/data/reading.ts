/**
 * How the bytes of a table are read. A dataset is its bytes and their reading: together they
 * determine every value of every column.
 *
 * What a client leaves open is detected: the encoding in table/survey.ts, the separator in
 * table/separator.ts, the decimal mark and the types in columns/table-columns.ts. The complete
 * reading is recorded with the version of the reader, so that the same columns can be made again
 * after the rules have changed.
 */

/** Raise this whenever the same bytes and options could give another reading or other values. */
export const READER_VERSION = 2;

export const separators = [",", ";", "\t", "|"] as const;
export const decimalMarks = [".", ","] as const;
export const encodings = ["utf-8", "utf-16le", "utf-16be", "windows-1252"] as const;
export const declaredTypes = ["numeric", "categorical", "date", "boolean", "text", "ignore"] as const;

export type Separator = (typeof separators)[number];
export type DecimalMark = (typeof decimalMarks)[number];
export type Encoding = (typeof encodings)[number];
/** What comes first in a date whose year comes last. */
export const dateOrders = ["day_first", "month_first"] as const;
export type DateOrder = (typeof dateOrders)[number];
/**
 * `text`: no classes are listed. `ignore`: read like any other column, but not a default feature.
 */
export type DeclaredType = (typeof declaredTypes)[number];

export interface Reading {
  /** The READER_VERSION that read it; 1: before readings were recorded. */
  readonly version: number;
  readonly separator: Separator;
  readonly decimal: DecimalMark;
  /**
   * Whether the mark was declared, or a cell proves it. Only then does the other mark group digits
   * by threes.
   */
  readonly decimal_proved: boolean;
  readonly encoding: Encoding;
  /** Whether the first line names the columns. If not, they are `column_1` and so on. */
  readonly header: boolean;
  /** Lines that begin with this are left out; null: there are no comments. */
  readonly comment: string | null;
  /** The cells that are missing, besides empty ones; null: the default tokens. */
  readonly missing_values: string[] | null;
  /** The types that the client declared, by column. */
  readonly columns: Readonly<Record<string, DeclaredType>>;
  /**
   * The order of the dates in the columns that a job reads, where their cells tell. Only models
   * have it: the record of a dataset has it in its columns.
   */
  readonly date_orders?: Readonly<Record<string, DateOrder>>;
}

/** What a client asks for; what is null is detected. */
export type ReadingOptions = {
  readonly [Option in Exclude<keyof Reading, "version" | "decimal_proved" | "encoding" | "date_orders">]:
    | Reading[Option]
    | null;
} & {
  /** `utf-16`: in the byte order that the file has. */
  readonly encoding: Encoding | "utf-16" | null;
};

export const ALL_DETECTED: ReadingOptions = {
  separator: null,
  decimal: null,
  encoding: null,
  header: null,
  comment: null,
  missing_values: null,
  columns: null,
};

/** The reading of a table whose record has none. */
export const FIRST_READING: Reading = {
  version: 1,
  separator: ",",
  decimal: ".",
  decimal_proved: false,
  encoding: "utf-8",
  header: true,
  comment: null,
  missing_values: [],
  columns: {},
};

/** Stands for the reading of a file that has none: nothing is declared or missing. */
export const NO_READING: Reading = { ...FIRST_READING, version: READER_VERSION, header: false };
