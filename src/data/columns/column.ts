/** A typed column: its values, and the summary that describes them. */
import { areAllDifferentIntegers, areNearlyAll, type Numbers } from "./distinct.ts";
import {
  MAX_CLASSES,
  MAX_CLASS_LENGTH,
  type ColumnSummary,
  type TableColumn,
  type TensorColumn,
  type TextColumn,
} from "../dataset.ts";
import type { TensorValues } from "../tensors/elements.ts";
import type { StoredTexts } from "../text/texts.ts";
import { Totals } from "./totals.ts";

/** The code of a missing cell. */
export const MISSING_CODE = 0xffff;

/**
 * Doubles with NaN for missing cells if the column is numeric or holds dates (milliseconds since
 * 1970-01-01T00:00:00Z). Else indices into `classes` with `MISSING_CODE` for missing cells, or null
 * if there are too many classes.
 */
export type ColumnValues = Float64Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | null;

export interface Column {
  readonly summary: TableColumn;
  readonly values: ColumnValues;
  /** Of a column without classes, if they are kept. */
  readonly texts?: StoredTexts;
}

/** A column of any dataset. */
export type AnyColumn =
  | Column
  | { readonly summary: TensorColumn; readonly values: TensorValues }
  | { readonly summary: TextColumn; readonly values: Uint8Array<ArrayBuffer> };

/** Whether the values of such a column are doubles, and not codes. */
export function holdsDoubles({ type }: Pick<ColumnSummary, "type">): boolean {
  return type === "numeric" || type === "date";
}

/** Tells the missing ones among the values of a column. */
export function missingTest(values: Float64Array | Uint16Array): (value: number) => boolean {
  return values instanceof Uint16Array ? (code) => code === MISSING_CODE : Number.isNaN;
}

/**
 * How many rows to make room for, if there is room for `had` and there must be for `rows`. What is
 * expected may be wrong.
 */
export function enough(rows: number, expected: number, had: number): number {
  return expected >= rows ? expected : Math.max(rows, 2 * had);
}

export function grown<T extends Uint16Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Replaces each row's code by its value. */
export function tabulated(codes: Uint16Array, values: Float64Array): Float64Array<ArrayBuffer> {
  const numbers = new Float64Array(codes.length);
  // This is a loop, because `from` with a function takes fifty times as long.
  for (let row = 0; row < codes.length; row++)
    numbers[row] = codes[row] === MISSING_CODE ? Number.NaN : values[codes[row]];
  return numbers;
}

/** @param among values that contain all of `values`, if there are few */
export function numericColumn(
  name: string,
  missing: number,
  values: Float64Array<ArrayBuffer>,
  among: Float64Array | null = null,
  totals: Totals = Totals.of(values),
): Column {
  return { summary: numericSummary(name, missing, values, among, totals), values };
}

/** What is said of numbers, of whatever type: a copy as doubles may be eight times as large. */
export function numericSummary(
  name: string,
  missing: number,
  values: Numbers,
  among: Float64Array | null = null,
  totals: Totals = Totals.of(values),
): TableColumn {
  const { count, distinct, ...range } = measured(missing, values, among, totals);
  const classes = distinct === null ? null : Array.from(distinct, String);
  const mayDiffer = distinct === null || areNearlyAll(distinct.length, count);
  const all_different = mayDiffer && areAllDifferentIntegers(values, count);
  return { name, type: "numeric", missing, ...range, classes, all_different, reason: null };
}

export function dateColumn(
  name: string,
  missing: number,
  values: Float64Array<ArrayBuffer>,
  among: Float64Array | null = null,
): Column {
  const { count: _, distinct, ...range } = measured(missing, values, among, Totals.of(values));
  const classes = distinct === null ? null : datesOf(distinct);
  return { summary: { name, type: "date", missing, ...range, classes, all_different: false, reason: null }, values };
}

/** To find the distinct ones among few values takes less time than among all. */
function measured(missing: number, values: Numbers, among: Float64Array | null, totals: Totals) {
  const { min, max, sum, count } = totals;
  const distinct = distinctOf(among ?? values);
  const mean = sum / (values.length - missing);
  return {
    count,
    min: finite(min),
    max: finite(max),
    mean: finite(mean),
    distinct: distinct.size > MAX_CLASSES ? null : Float64Array.from(distinct).toSorted(),
  };
}

/** Too many if there are more than can be classes. */
function distinctOf(values: Numbers): Set<number> {
  const distinct = new Set<number>();
  for (let row = 0; row < values.length && distinct.size <= MAX_CLASSES; row++)
    if (!Number.isNaN(values[row])) distinct.add(values[row]);
  return distinct;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/**
 * Leaves the times out if all of them are midnight. Null if one has a part of a millisecond, which
 * the text would lose.
 */
function datesOf(values: Float64Array): string[] | null {
  if (!values.every(Number.isInteger)) return null;
  const texts = Array.from(values, (value) => new Date(value).toISOString());
  const isMidnight = texts.every((text) => text.endsWith(MIDNIGHT));
  return isMidnight ? texts.map((text) => text.slice(0, -MIDNIGHT.length)) : texts;
}

const MIDNIGHT = "T00:00:00.000Z";

/** How classes may write a time (`datesOf`). None if they cannot. */
export function dateTexts(time: number): string[] {
  if (!Number.isInteger(time)) return [];
  const text = new Date(time).toISOString();
  return text.endsWith(MIDNIGHT) ? [text, text.slice(0, -MIDNIGHT.length)] : [text];
}

/** `cells` holds the spelling of each code. `codes` is null if there are too many. */
export function categoricalColumn(
  name: string,
  missing: number,
  codes: Uint16Array | null,
  cells: readonly string[],
): Column {
  const nothing = {
    name,
    type: "categorical",
    missing,
    min: null,
    max: null,
    mean: null,
    all_different: false,
    reason: null,
  } as const;
  if (codes === null || cells.some((cell) => cell.length > MAX_CLASS_LENGTH)) {
    return { summary: { ...nothing, classes: null }, values: null };
  }
  const order = cells
    .map((cell, code) => ({ cell, code, bytes: Buffer.from(cell) }))
    .toSorted((a, b) => Buffer.compare(a.bytes, b.bytes));
  const classes = order.map(({ cell }) => cell);
  const position = new Uint16Array(cells.length);
  for (const [index, { code }] of order.entries()) position[code] = index;
  const values = new Uint16Array(codes.length);
  // This is a loop, because `map` takes several times as long.
  for (let row = 0; row < codes.length; row++)
    values[row] = codes[row] === MISSING_CODE ? MISSING_CODE : position[codes[row]];
  return { summary: { ...nothing, classes }, values };
}
