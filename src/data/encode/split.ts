/*
 * Which rows train, which validate, and which are kept for the test.
 *
 * The rules look at the order of the rows in the file and at the values of a column. They look at
 * all rows. Only then are rows with a missing target or feature dropped from each side, if the spec
 * says so. So `every: 5` means the same rows whatever the cells hold.
 *
 * The test rows are taken first, from all rows of the file. The rule of validation then counts the
 * rows that are left, from 0, as if they were the whole file. So two equal rules do not choose the
 * same rows: `{"tail": 0.2}` twice gives training, validation and test in the order of the file.
 */
import { missingTest } from "../columns/column.ts";
import {
  drawGroups,
  drawRows,
  drawStratified,
  foldOf,
  foldSize,
  groupsInFold,
  inFold,
  stratifiedInFold,
} from "./draw.ts";
import type { DataSpec, Fold, SplitRule } from "./encoding.ts";
import { featuresOf, targetColumns } from "./features.ts";
import type { ViewedFile } from "./viewed-file.ts";

export interface Split {
  /** Ascending row numbers, on SharedArrayBuffers. */
  readonly train: Int32Array;
  readonly valid: Int32Array;
  readonly test: Int32Array;
}

const SIDE = { train: 0, valid: 1, test: 2, dropped: 3 } as const;

/** @param series the number of each row's series, for rows in order of time. A tail is of each. */
export async function splitRows(file: ViewedFile, data: DataSpec, series?: Int32Array): Promise<Split> {
  const { rows } = file.content;
  const sides = new Uint8Array(rows);
  const all = new Int32Array(rows);
  // This is a loop, because `from` with a function takes many times as long.
  for (let row = 0; row < rows; row++) all[row] = row;
  if (data.test !== null) for (const row of await chosen(file, data, data.test, all, series)) sides[row] = SIDE.test;
  if (data.validation !== null) {
    const rest = data.test === null ? all : all.filter((row) => sides[row] === SIDE.train);
    for (const row of await chosen(file, data, data.validation, rest, series)) sides[row] = SIDE.valid;
  }
  await drop(file, data, sides);
  return { train: rowsOn(sides, SIDE.train), valid: rowsOn(sides, SIDE.valid), test: rowsOn(sides, SIDE.test) };
}

export function rowsOn(sides: Uint8Array, side: number): Int32Array {
  let count = 0;
  for (let row = 0; row < sides.length; row++) if (sides[row] === side) count++;
  const picked = new Int32Array(new SharedArrayBuffer(4 * count));
  for (let row = 0, at = 0; row < sides.length; row++) if (sides[row] === side) picked[at++] = row;
  return picked;
}

/** How many of `rows` rows a rule chooses; null if that depends on the file. */
export function chosenCount(rows: number, rule: SplitRule | null): number | null {
  if (rule === null) return 0;
  if ("tail" in rule) return Math.round(rows * rule.tail);
  if ("every" in rule) return Math.ceil(rows / rule.every);
  if ("folds" in rule && !("group" in rule)) return foldSize(rows, foldOf(rule));
  return "group" in rule || "column" in rule ? null : Math.round(rows * rule.fraction);
}

/** The number of samples on each side before any are dropped; null if that depends on the file. */
export function sideCounts(
  rows: number,
  {
    validation,
    test,
    window = null,
    where = null,
  }: Pick<DataSpec, "validation" | "test"> & Partial<Pick<DataSpec, "window" | "where">>,
) {
  if (window !== null || where !== null) return null;
  const tested = chosenCount(rows, test);
  const valid = tested === null ? null : chosenCount(rows - tested, validation);
  return tested === null || valid === null ? null : { train: rows - tested - valid, valid, test: tested };
}

/** The rows that a rule chooses of those given. */
async function chosen(
  file: ViewedFile,
  data: DataSpec,
  rule: SplitRule,
  rows: Int32Array,
  series?: Int32Array,
): Promise<Int32Array> {
  if ("tail" in rule && series !== undefined) return tails(rows, series, rule.tail);
  if ("tail" in rule) return rows.subarray(rows.length - Math.round(rows.length * rule.tail));
  if ("every" in rule) return rows.filter((_, at) => at % rule.every === 0);
  if ("folds" in rule) return await foldRows(file, data, foldOf(rule), rows);
  if ("column" in rule) return marked(await file.numbers(file.index(rule.column)), rows);
  if ("group" in rule) return drawGroups(await file.values(file.index(rule.group)), rows, rule);
  const drawn = rule.stratify
    ? drawStratified(await file.values(file.index(targetColumns(data)[0])), rows, rule)
    : drawRows(rows.length, rule.fraction, rule.seed);
  return drawn.map((at) => rows[at]);
}

/** The rows of one fold. */
async function foldRows(file: ViewedFile, data: DataSpec, rule: Fold, rows: Int32Array): Promise<Int32Array> {
  if ("group" in rule) return groupsInFold(await file.values(file.index(rule.group)), rows, rule);
  if (!rule.stratify) return inFold(rows.length, rule).map((at) => rows[at]);
  return stratifiedInFold(await file.values(file.index(targetColumns(data)[0])), rows, rule);
}

/** The rows at the end of each series: as many as its share. */
function tails(rows: Int32Array, series: Int32Array, share: number): Int32Array {
  const counts = new Map<number, number>();
  for (const row of rows) counts.set(series[row], (counts.get(series[row]) ?? 0) + 1);
  const before = new Map([...counts].map(([number, count]) => [number, count - Math.round(count * share)]));
  return rows.filter((row) => {
    const left = before.get(series[row])!;
    before.set(series[row], left - 1);
    return left <= 0;
  });
}

function marked(values: Float64Array, rows: Int32Array): Int32Array {
  return rows.filter((row) => values[row] === 1);
}

/** Drops rows with a missing target or feature from their side, if the spec says so. */
async function drop(file: ViewedFile, data: DataSpec, sides: Uint8Array): Promise<void> {
  const { missing, missing_target: missingTarget } = data.preprocess;
  const dropsAny = missing === "drop_row";
  const names = dropsAny || missingTarget === "drop_row" ? [...targetColumns(data)] : [];
  if (dropsAny) for (const name of featuresOf(file.content, data)) names.push(name);
  for (const name of names) {
    const index = file.index(name);
    // An array misses nothing.
    if (file.content.columns[index].missing === 0) continue;
    const values = await file.values(index);
    const isMissing = missingTest(values);
    for (let row = 0; row < sides.length; row++) if (isMissing(values[row])) sides[row] = SIDE.dropped;
  }
}
