/** What is uploaded, and how a person would read it. */
import type { Reading } from "../../../src/data/reading.ts";

type Answered = Pick<Reading, "separator" | "decimal" | "encoding" | "header">;

interface Upload {
  readonly what: string;
  /** Text is sent as UTF-8. */
  readonly body: string | Buffer;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Read extends Upload {
  /** Where it is other than comma, point, UTF-8 and a header. */
  readonly reading?: Partial<Answered>;
  /** All columns, in their order. */
  readonly columns: Readonly<Record<string, Expected>>;
}

export interface Refused extends Upload {
  readonly status?: number;
  /** Null: the fault is not in a line. */
  readonly line: number | null;
  /** What the message must say: the fault, and what to do. */
  readonly says: RegExp;
}

export interface Expected {
  readonly type: "numeric" | "categorical" | "date" | "boolean";
  /**
   * The cells by row, null where missing; dates in milliseconds. Null: only their number counts.
   */
  readonly cells: readonly (string | number | null)[];
  /** Whether classes are listed. */
  readonly listed: boolean;
  /** `any`: whether there is one is left open. */
  readonly reason: Because | null | "any";
}

export interface Because {
  readonly line: number;
  readonly cell: string;
  readonly says: RegExp;
}

export const numbers = (...cells: (number | null)[]): Expected => {
  return { type: "numeric", cells, listed: false, reason: null };
};

/** Of dates as JavaScript's `Date.parse` reads them. */
export const dates = (...cells: (string | null)[]): Expected => {
  const times = cells.map((cell) => (cell === null ? null : Date.parse(cell)));
  return { type: "date", cells: times, listed: false, reason: null };
};

export const booleans = (...cells: (string | null)[]): Expected => {
  return { type: "boolean", cells, listed: true, reason: null };
};

export const texts = (...cells: (string | null)[]): Expected => {
  return { type: "categorical", cells, listed: true, reason: null };
};

/** Texts that are no classes: only how many cells are missing is known. */
export const unlisted = (...cells: (string | null)[]): Expected => {
  return { ...texts(...cells), listed: false };
};

export const because = (expected: Expected, line: number, cell: string, says: RegExp): Expected => {
  return { ...expected, reason: { line, cell, says } };
};

/** A column `c` of these cells in a tab-separated file, beside a column of letters. */
export function cells(
  what: string,
  given: readonly string[],
  expected: Expected,
  more: Pick<Read, "query" | "reading"> = {},
): Read {
  const body = ["c\tk", ...given.map((cell) => `${cell}\tx`), ""].join("\n");
  return {
    what: `${what}: ${given.slice(0, 4).join(" | ")}`,
    body,
    ...more,
    reading: { separator: "\t", ...more.reading },
    columns: { c: expected, k: texts(...given.map(() => "x")) },
  };
}
