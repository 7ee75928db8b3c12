/*
 * Predictions of models of windows over a dataset. Its rows are read once, so they must be sorted:
 * by series, and in each by order. Each row that ends a window gives a prediction, of the row
 * `horizon` rows after it. That row may be still to come. So predictions wait for it, `horizon` of
 * them at most, or for the end of the series. Then the row is beyond the end, and has no order yet.
 */
import { MISSING_CODE } from "../data/columns/column.ts";
import type { ColumnSummary } from "../data/dataset.ts";
import type { WindowRule } from "../data/encode/encoding.ts";
import type { Columns } from "../data/files/beside-files.ts";
import type { ColumnScan } from "../data/files/column-file.ts";
import { shown } from "../data/columns/cell-reader.ts";
import { line } from "../data/source.ts";
import type { Fault } from "../contract/resolve/faults.ts";
import type { Prediction } from "./answers.ts";
import type { Faults } from "./columns.ts";
import { NUMBER_BYTES } from "./lines.ts";

/** How many series a dataset may have. All are kept in mind, so that none comes twice. */
const MAX_SERIES = 1_000_000;

/** The columns that tell where a window is, in the order of the CSV. */
export function placesOf({ order, series }: WindowRule): string[] {
  return series === null ? [order] : [series, order];
}

/** Why the rows of a dataset make no windows, whatever they hold. */
export function unfitPlaces(window: WindowRule, rows: number, columns: readonly ColumnSummary[]): Fault[] {
  const messages = placesOf(window).flatMap((name) => {
    const column = columns.find((each) => each.name === name);
    if (column === undefined) return [`lacks the column ${shown(name)}, by which rows make windows`];
    if (isNumber(column) || (name === window.series && "classes" in column && column.classes !== null)) return [];
    const holds = name === window.order ? "numbers or dates" : "numbers, dates or classes";
    return [`has the column ${shown(name)}, by which rows make windows, and it does not hold ${holds}`];
  });
  if (rows < window.length) messages.push(`has ${rows} rows, and the model predicts from ${window.length}`);
  return messages.map((message) => ({ pointer: "/dataset", message }));
}

function isNumber(column: ColumnSummary): boolean {
  return column.type === "numeric" || column.type === "date" || (column.type === "tensor" && column.shape.length === 0);
}

/** The most bytes that the places of a prediction take in a line. */
export function placeBytes(window: WindowRule, columns: readonly ColumnSummary[]): number {
  return placesOf(window).reduce((sum, name) => {
    const { classes = null } = columns.find((column) => column.name === name) as { classes?: string[] | null };
    const longest = (classes ?? []).reduce((most, each) => Math.max(most, Buffer.byteLength(line([each]))), 0);
    return sum + Math.max(longest, NUMBER_BYTES + 1);
  }, 0);
}

/** A cell of the CSV: null beyond the end of a series. */
type Place = string | number | null;

interface Waiting {
  readonly prediction: Prediction;
  /** Rows until its own, counted in the series. */
  readonly at: number;
}

export class Series {
  readonly #window: WindowRule;
  readonly #scans: readonly ColumnScan[];
  readonly #write: (places: readonly Place[], prediction: Prediction) => void;
  readonly #before = new Set<number>();
  #waiting: Waiting[] = [];
  #series = Number.NaN;
  #order = Number.NaN;
  /** Rows of the series so far. */
  #length = 0;
  #rows: { readonly series: ArrayLike<number> | null; readonly orders: ArrayLike<number> } = {
    series: null,
    orders: [],
  };

  constructor(table: Columns, window: WindowRule, write: (places: readonly Place[], prediction: Prediction) => void) {
    this.#window = window;
    this.#write = write;
    const { columns } = table.content;
    this.#scans = placesOf(window).map((name) => table.scan(columns.findIndex((column) => column.name === name)));
  }

  /** Reads the next rows, and tells for each how many rows of its series there are so far. */
  async next(rows: number, faults: Faults): Promise<Int32Array> {
    const values = [];
    for (const scan of this.#scans) values.push((await scan.next(rows)) as ArrayLike<number>);
    const [orders, series = null] = values.toReversed();
    this.#rows = { series, orders };
    let [length, last, current] = [this.#length, this.#order, this.#series];
    return Int32Array.from({ length: rows }, (_, row) => {
      const of = series === null ? 0 : series[row];
      if (of !== current) {
        this.#begin(of, row, faults);
        [length, last, current] = [0, Number.NaN, of];
      }
      const { order } = this.#window;
      if (Number.isNaN(orders[row])) faults.add(["rows", row, order], "is missing, and rows are put in order by it");
      else if (orders[row] <= last)
        faults.add(["rows", row, order], `does not come after that of the row before${SORT}`);
      last = orders[row];
      return ++length;
    });
  }

  /** Takes the predictions of those rows that end a window. `lengths`: what `next` told. */
  take(lengths: Int32Array, predictions: readonly Prediction[]): void {
    const { series, orders } = this.#rows;
    const { length, horizon } = this.#window;
    let taken = 0;
    for (const [row, position] of lengths.entries()) {
      if (position === 1) this.end();
      this.#series = series === null ? 0 : series[row];
      this.#order = orders[row];
      if (this.#waiting[0]?.at === position) this.#settle(this.#order);
      if (position >= length) this.#waiting.push({ prediction: predictions[taken++], at: position + horizon });
    }
    this.#length = lengths.at(-1) ?? this.#length;
  }

  /** The series has no more rows. */
  end(): void {
    while (this.#waiting.length > 0) this.#settle(null);
  }

  #settle(order: number | null): void {
    const values = this.#scans.length === 1 ? [order] : [this.#series, order];
    const places = values.map((value, at) => (value === null ? null : placeText(value, this.#scans[at].summary)));
    this.#write(places, this.#waiting.shift()!.prediction);
  }

  #begin(series: number, row: number, faults: Faults): void {
    const name = this.#window.series;
    if (name === null) return;
    const { summary } = this.#scans[0];
    const isMissing = Number.isNaN(series) || ("classes" in summary && series === MISSING_CODE);
    if (isMissing) faults.add(["rows", row, name], "is missing, and it tells series apart");
    else if (this.#before.has(series)) faults.add(["rows", row, name], `is a series that ended before${SORT}`);
    else if (this.#before.size === MAX_SERIES)
      faults.add(["rows", row, name], `is one series too many: a prediction takes ${MAX_SERIES}; split the dataset`);
    this.#before.add(series);
  }
}

const SORT = ": sort the rows by series, and in each by order";

function placeText(value: number, summary: ColumnSummary): string | number {
  if (summary.type === "date") return new Date(value).toISOString().replace("T00:00:00.000Z", "");
  return "classes" in summary && summary.classes != null && !isNumber(summary) ? summary.classes[value] : value;
}
