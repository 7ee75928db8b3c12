/**
 * Reads single cells as a dataset's were read: with its decimal mark, its missing tokens and the
 * order of its dates. No other cell is looked at, so a cell says the same alone as among others.
 */
import { DateReader } from "./cell-date.ts";
import { NumberReader } from "./cell-number.ts";
import { MissingCells } from "./cell-word.ts";
import type { DateOrder, Reading } from "../reading.ts";

/** `fault` continues the sentence "<pointer> …". */
export type ReadCell = { readonly value: number } | { readonly fault: string };

export class CellReader {
  readonly #reading: Pick<Reading, "decimal" | "decimal_proved">;
  readonly #missing: MissingCells;
  readonly #dateOrders: ReadonlyMap<string, DateOrder>;
  readonly #number = new NumberReader();
  readonly #date = new DateReader();

  constructor(reading: Pick<Reading, "decimal" | "decimal_proved" | "missing_values" | "date_orders">) {
    this.#reading = reading;
    this.#dateOrders = new Map(Object.entries(reading.date_orders ?? {}));
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
  date(cell: string, column: string): ReadCell {
    const date = this.#date;
    const { dayFirst, monthFirst } = date.readDeclared(cell) ? date : NO_DATE;
    if (Number.isNaN(dayFirst) && Number.isNaN(monthFirst))
      return { fault: `is ${shown(cell)}, which is no date: write dates like 2024-01-31` };
    const order = this.#dateOrders.get(column);
    if (order !== undefined) {
      const value = order === "day_first" ? dayFirst : monthFirst;
      if (!Number.isNaN(value)) return { value };
      const [first, other] = order === "day_first" ? ["day", "month"] : ["month", "day"];
      const why = `has its ${other} first, and the dataset's dates their ${first}: write dates like 2024-01-31`;
      return { fault: `is ${shown(cell)}, which ${why}` };
    }
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
