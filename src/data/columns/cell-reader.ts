/**
 * Reads single cells as a dataset's were read: with its decimal mark and its missing tokens. No
 * other cell is looked at, so a cell says the same alone as among others. What only a whole column
 * can tell, such as whether days or months come first, must be plain from the cell itself.
 */
import { DateReader } from "./cell-date.ts";
import { NumberReader } from "./cell-number.ts";
import { MissingCells } from "./cell-word.ts";
import type { Reading } from "../reading.ts";

/** `fault` continues the sentence "<pointer> …". */
export type ReadCell = { readonly value: number } | { readonly fault: string };

export class CellReader {
  readonly #reading: Pick<Reading, "decimal" | "decimal_proved">;
  readonly #missing: MissingCells;
  readonly #number = new NumberReader();
  readonly #date = new DateReader();

  constructor(reading: Pick<Reading, "decimal" | "decimal_proved" | "missing_values">) {
    this.#reading = reading;
    this.#missing = new MissingCells(reading.missing_values);
  }

  /** `amongTexts`: whether the column holds classes, among which some words are no missing ones. */
  isMissing(cell: string, amongTexts: boolean): boolean {
    const missing = this.#missing.is(cell);
    return missing === "always" || (missing === "besideValues" && !amongTexts);
  }

  /** `isCode`: an integer such as 007, whose spelling its value does not give back. */
  number(cell: string): ReadCell & { readonly isCode?: boolean } {
    const number = this.#number;
    if (!number.read(cell)) return { fault: `is ${shown(cell)}, which is no number` };
    const { decimal, decimal_proved } = this.#reading;
    const value = decimal === "." ? number.point : number.comma;
    const mark = decimal === "." ? "point" : "comma";
    if (Number.isNaN(value)) return { fault: `is ${shown(cell)}, which is no number with a decimal ${mark}` };
    if (decimal === "." && number.commaGroups && !decimal_proved)
      return { fault: `is ${shown(cell)}: write it without a comma, which could be a decimal one` };
    return { value, isCode: number.isCode };
  }

  /** Milliseconds since 1970-01-01T00:00:00Z. */
  date(cell: string): ReadCell {
    const date = this.#date;
    const { dayFirst, monthFirst } = date.readDeclared(cell) ? date : NO_DATE;
    if (Number.isNaN(dayFirst) && Number.isNaN(monthFirst))
      return { fault: `is ${shown(cell)}, which is no date: write dates like 2024-01-31` };
    if (Number.isNaN(dayFirst) || dayFirst === monthFirst) return { value: monthFirst };
    if (Number.isNaN(monthFirst)) return { value: dayFirst };
    return { fault: `is ${shown(cell)}, which could have its day or its month first: write dates like 2024-01-31` };
  }
}

const NO_DATE = { dayFirst: Number.NaN, monthFirst: Number.NaN };
const MOST_SHOWN = 100;

/** A value as messages quote it. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}
