/**
 * Rows of metrics, packed. A job has a list of slices (lua/shared/rows.lua), each of which holds
 * the rows of some steps by columns: the names once, then the numbers of one name after the other.
 * A hundred rows of a loss take less than 1 KB so, and 18 KB as JSON.
 *
 * A slice is `<first step> <last step>\n`, which the scripts read and change, and compressed bytes.
 * Rows after its last step do not count: they were taken back. The compressed bytes hold a header
 * in JSON and then doubles. Rows with the same names form a group, in which every column has as
 * many numbers as there are rows: first the steps, each less the one before, then the values. The
 * bytes of the doubles are in eight planes, the first bytes of all numbers first. Similar numbers
 * share their first bytes, so planes compress better.
 *
 * Rows that are written replace what is stored from their first step on. So writing them again
 * changes nothing. A run writes the last slice again with more rows until it is large enough, so
 * that a job that logs now and then does not end up with many small slices.
 */
import { zstdDecompressSync } from "node:zlib";
import { compressed } from "./compressed.ts";
import type { MetricRow } from "./record.ts";
import { OPEN_NUMBERS, SLICE_NUMBERS } from "./room-numbers.ts";

/** Rows with the same names, by columns. A value that is missing or not finite is NaN. */
export interface Columns {
  readonly names: readonly string[];
  readonly steps: Float64Array;
  /** Of each name. */
  readonly values: readonly Float64Array[];
}

/** The header: the names and the number of rows of each group. */
type Header = [names: string[], rows: number][];

const BYTES = Float64Array.BYTES_PER_ELEMENT;

/**
 * Cuts rows into slices. If `more` rows may come, they come for the last slice, and perhaps for the
 * last step. So if the rows make a complete slice, their last step gets a slice of its own. Rows of
 * one step are never in two slices.
 */
export function sliced(rows: readonly MetricRow[], more: boolean): MetricRow[][] {
  const slices: MetricRow[][] = [];
  let slice: MetricRow[] = [];
  let numbers = 0;
  const complete = () => {
    slices.push(slice);
    [slice, numbers] = [[], 0];
  };
  for (const step of steps(rows)) {
    const added = step.reduce((sum, row) => sum + Object.keys(row).length, 0);
    const most = more && step.at(-1) === rows.at(-1) ? OPEN_NUMBERS : SLICE_NUMBERS;
    if (slice.length > 0 && numbers + added > most) complete();
    for (const row of step) slice.push(row);
    numbers += added;
  }
  if (slice.length > 0) slices.push(slice);
  return slices;
}

/** The rows of each step. */
function* steps(rows: readonly MetricRow[]): Generator<MetricRow[]> {
  for (let i = 0, first = 0; i < rows.length; i++) {
    if (rows[i + 1]?.step === rows[i].step) continue;
    yield rows.slice(first, i + 1);
    first = i + 1;
  }
}

/** @param rows at least one, in the order of their steps */
export function packRows(rows: readonly MetricRow[]): Buffer {
  const groups = grouped(rows);
  const header: Header = [...groups.values()].map((group) => [namesOf(group[0]), group.length]);
  const count = header.reduce((sum, [names, length]) => sum + length * (1 + names.length), 0);
  const numbers = new Float64Array(count);
  let at = 0;
  for (const [i, group] of [...groups.values()].entries()) {
    let before = 0;
    for (const { step } of group) {
      numbers[at++] = step - before;
      before = step;
    }
    for (const name of header[i][0]) for (const row of group) numbers[at++] = row[name] ?? Number.NaN;
  }
  const text = Buffer.from(`${JSON.stringify(header)}\n`);
  const content = Buffer.allocUnsafe(text.byteLength + numbers.byteLength);
  text.copy(content);
  toPlanes(new Uint8Array(numbers.buffer), content.subarray(text.byteLength));
  const bounds = Buffer.from(`${rows[0].step} ${rows.at(-1)!.step}\n`);
  return Buffer.concat([bounds, compressed(content)]);
}

/** The last step of a slice whose rows count. */
export function lastStepOf(slice: Buffer): number {
  return boundsOf(slice)[1];
}

function boundsOf(slice: Buffer): number[] {
  return slice.toString("latin1", 0, slice.indexOf("\n")).split(" ").map(Number);
}

/** The rows of a slice between two steps. */
export function unpackRows(slice: Buffer, fromStep: number, toStep: number): Columns[] {
  const [first, counted] = boundsOf(slice);
  const last = Math.min(toStep, counted);
  if (first > last || counted < fromStep) return [];
  const content = zstdDecompressSync(slice.subarray(slice.indexOf("\n") + 1));
  const end = content.indexOf("\n");
  const header = JSON.parse(content.toString("utf8", 0, end)) as Header;
  const numbers = new Float64Array((content.byteLength - end - 1) / BYTES);
  fromPlanes(content.subarray(end + 1), new Uint8Array(numbers.buffer));
  let at = 0;
  return header.map(([names, count]) => {
    const column = () => numbers.subarray(at, (at += count));
    const steps = column();
    for (let i = 1; i < count; i++) steps[i] += steps[i - 1];
    const wanted = [firstAt(steps, fromStep), firstAt(steps, last + 1)] as const;
    return { names, steps: steps.subarray(...wanted), values: names.map(() => column().subarray(...wanted)) };
  });
}

/** Rows of an earlier version, each a text, by columns. */
export function columnsOf(texts: readonly string[]): Columns[] {
  const groups = grouped(texts.map((text) => JSON.parse(text) as MetricRow));
  return [...groups.values()].map((rows) => {
    const names = namesOf(rows[0]);
    return {
      names,
      steps: Float64Array.from(rows, ({ step }) => step),
      values: names.map((name) => Float64Array.from(rows, (row) => row[name] ?? Number.NaN)),
    };
  });
}

function namesOf(row: MetricRow): string[] {
  return Object.keys(row).filter((name) => name !== "step");
}

/** By their names. */
function grouped(rows: readonly MetricRow[]): Map<string, MetricRow[]> {
  const groups = new Map<string, MetricRow[]>();
  for (const row of rows) {
    const names = Object.keys(row).join("\n");
    const group = groups.get(names);
    if (group === undefined) groups.set(names, [row]);
    else group.push(row);
  }
  return groups;
}

/** Where in ascending steps the first is that is not less than `step`. */
function firstAt(steps: Float64Array, step: number): number {
  const found = steps.findIndex((other) => other >= step);
  return found < 0 ? steps.length : found;
}

function toPlanes(bytes: Uint8Array, planes: Uint8Array): void {
  const count = bytes.byteLength / BYTES;
  for (let plane = 0; plane < BYTES; plane++) {
    for (let i = 0; i < count; i++) planes[plane * count + i] = bytes[i * BYTES + plane];
  }
}

function fromPlanes(planes: Uint8Array, bytes: Uint8Array): void {
  const count = bytes.byteLength / BYTES;
  for (let plane = 0; plane < BYTES; plane++) {
    for (let i = 0; i < count; i++) bytes[i * BYTES + plane] = planes[plane * count + i];
  }
}
