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
import { PURPOSE, shuffle } from "../../engine/kernels/random.ts";
import { missingTest } from "../columns/column.ts";
import type { DataSpec, SplitRule } from "./encoding.ts";
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
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  if (data.test !== null) for (const row of await chosen(file, data, data.test, all, series)) sides[row] = SIDE.test;
  if (data.validation !== null) {
    const rest = data.test === null ? all : all.filter((row) => sides[row] === SIDE.train);
    for (const row of await chosen(file, data, data.validation, rest, series)) sides[row] = SIDE.valid;
  }
  await drop(file, data, sides);
  return { train: rowsOn(sides, SIDE.train), valid: rowsOn(sides, SIDE.valid), test: rowsOn(sides, SIDE.test) };
}

function rowsOn(sides: Uint8Array, side: number): Int32Array {
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
  return "group" in rule || "column" in rule ? null : Math.round(rows * rule.fraction);
}

/** The number of samples on each side before any are dropped; null if that depends on the file. */
export function sideCounts(
  rows: number,
  { validation, test, window = null }: Pick<DataSpec, "validation" | "test"> & Partial<Pick<DataSpec, "window">>,
) {
  if (window !== null) return null;
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
  if ("column" in rule) return marked(await file.numbers(file.index(rule.column)), rows);
  if ("group" in rule) return drawGroups(await file.values(file.index(rule.group)), rows, rule);
  const drawn = rule.stratify
    ? drawStratified(await file.values(file.index(targetColumns(data)[0])), rows, rule)
    : drawRows(rows.length, rule.fraction, rule.seed);
  return drawn.map((at) => rows[at]);
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

/** The rows in the order of a shuffle that depends on the seed alone. */
function shuffled(count: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, at) => at);
  shuffle(order, seed, 0, PURPOSE.split);
  return order;
}

/**
 * Draws round(rows × fraction) rows: the first ones of a shuffle. They are given in ascending
 * order.
 */
export function drawRows(rows: number, fraction: number, seed: number): Int32Array {
  return shuffled(rows, seed)
    .subarray(0, Math.round(rows * fraction))
    .toSorted();
}

/**
 * Draws round(rows × fraction) rows. Each class gives its share: its rows × fraction, rounded down.
 * The rows that are then missing come from the classes with the largest remainders, one row from
 * each; of equal remainders the first class gives one. Rows without a class count as a class of
 * their own, the last one.
 */
function drawStratified(
  classes: ArrayLike<number>,
  rows: Int32Array,
  { fraction, seed }: { fraction: number; seed: number },
): Int32Array {
  const sizes = new Map<number, number>();
  for (const row of rows) sizes.set(classes[row], (sizes.get(classes[row]) ?? 0) + 1);
  const shares = [...sizes].map(([label, size]) => ({ label, exact: size * fraction }));
  // NaN, for a missing number, is sorted behind all others. A missing code is the largest anyway.
  shares.sort((a, b) => remainder(b.exact) - remainder(a.exact) || order(a.label) - order(b.label));
  let missing = Math.round(rows.length * fraction) - shares.reduce((sum, { exact }) => sum + Math.floor(exact), 0);
  const left = new Map(shares.map(({ label, exact }) => [label, Math.floor(exact) + (missing-- > 0 ? 1 : 0)]));
  const drawn = shuffled(rows.length, seed).filter((at) => {
    const label = classes[rows[at]];
    left.set(label, left.get(label)! - 1);
    return left.get(label)! >= 0;
  });
  return drawn.sort();
}

function remainder(exact: number): number {
  return exact - Math.floor(exact);
}

function order(label: number): number {
  return Number.isNaN(label) ? Number.MAX_VALUE : label;
}

/**
 * Draws whole groups. It shuffles the groups, which are in ascending order of their values, and
 * takes the first ones: as many as bring the number of rows nearest to rows × fraction. If two
 * numbers are equally near, it takes the smaller one. At least one group is taken, and one is left
 * if there are two.
 */
function drawGroups(
  values: ArrayLike<number>,
  rows: Int32Array,
  { fraction, seed }: { fraction: number; seed: number },
): Int32Array {
  const sizes = new Map<number, number>();
  for (const row of rows) sizes.set(values[row], (sizes.get(values[row]) ?? 0) + 1);
  const groups = Float64Array.from(sizes.keys()).sort();
  const wanted = rows.length * fraction;
  const taken = new Set<number>();
  let count = 0;
  for (const at of shuffled(groups.length, seed)) {
    const more = count + sizes.get(groups[at])!;
    const nearer = Math.abs(more - wanted) < Math.abs(count - wanted);
    if (taken.size > 0 && (!nearer || taken.size === groups.length - 1)) break;
    taken.add(groups[at]);
    count = more;
  }
  return rows.filter((row) => taken.has(values[row]));
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
