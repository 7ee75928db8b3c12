/*
 * Windows: samples of a table sorted by time. The rows are put in order, by series and then by
 * time; rules of validation and test choose among them; and a sample is `length` rows that follow
 * each other in one series and on one side of the split, with the target of the row `horizon` rows
 * after the last of them, which is in the same series and on the same side too. A row that was
 * dropped interrupts its series.
 *
 * Samples overlap in the data: a sample is named by its first row, counted in the order of time.
 */
import { size } from "../../engine/member/shape.ts";
import type { NamedValue } from "../../engine/plan/graph.ts";
import type { InputArray, TrainingData } from "../../engine/training.ts";
import { applyEncoders, widthOf, type ColumnSource } from "./apply.ts";
import type { DataFault } from "./check.ts";
import type { DataSpec, InputEncoding, WindowRule } from "./encoding.ts";
import { shapeFaults } from "./fit-tensor.ts";
import { splitRows, type Split } from "./split.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** The samples of a file, and the rows they are made of. */
export interface Samples {
  /** Its rows are in the order of the samples. */
  readonly file: ViewedFile;
  /** The rows on each side. */
  readonly rows: Split;
  /** The first row of each sample. */
  readonly samples: Split;
  /** How many rows after its first one the target of a sample is. */
  readonly ahead: number;
  /** The number in the file of each row; null: the rows are in the order of the file. */
  readonly order: Int32Array | null;
  readonly faults: readonly DataFault[];
}

export async function samplesOf(file: ViewedFile, data: DataSpec): Promise<Samples> {
  const { window } = data;
  if (window === null) {
    const rows = await splitRows(file, data);
    return { file, rows, samples: rows, ahead: 0, order: null, faults: [] };
  }
  const order = await orderOf(file, window);
  const ordered = file.inOrder(order);
  const series = await seriesOf(ordered, window);
  const rows = await splitRows(ordered, data, series);
  const [train, valid, test] = [rows.train, rows.valid, rows.test].map((side) => starts(side, series, window));
  const samples = { train, valid, test };
  const ahead = window.length - 1 + window.horizon;
  const faults = [...(await repeatFaults(ordered, series, window)), ...lengthFaults(rows, samples, series, data)];
  return { file: ordered, rows, samples, ahead, order, faults };
}

/** The rows by series and then by time. Rows of the same time stay in the order of the file. */
async function orderOf(file: ViewedFile, { order, series }: WindowRule): Promise<Int32Array> {
  const times = await file.numbers(file.index(order));
  const groups = series === null ? null : await file.values(file.index(series));
  return Int32Array.from({ length: file.rows }, (_, row) => row).sort(
    (a, b) => (groups === null ? 0 : groups[a] - groups[b]) || times[a] - times[b] || a - b,
  );
}

/** The number of each row's series, in ascending order. */
async function seriesOf(ordered: ViewedFile, { series }: WindowRule): Promise<Int32Array> {
  const numbers = new Int32Array(ordered.rows);
  if (series === null) return numbers;
  const values = await ordered.values(ordered.index(series));
  for (let row = 1; row < numbers.length; row++)
    numbers[row] = numbers[row - 1] + (values[row] === values[row - 1] ? 0 : 1);
  return numbers;
}

/** Calls `take` with the beginning and the end of each stretch of rows that follow each other. */
function eachStretch(rows: Int32Array, series: Int32Array, take: (begin: number, end: number) => void): void {
  for (let at = 0; at < rows.length;) {
    const begin = rows[at];
    let end = begin;
    while (at < rows.length && rows[at] === end && series[end] === series[begin]) {
      at++;
      end++;
    }
    take(begin, end);
  }
}

function starts(rows: Int32Array, series: Int32Array, { length, horizon, stride }: WindowRule): Int32Array {
  const found: number[] = [];
  eachStretch(rows, series, (begin, end) => {
    for (let start = begin; start + length + horizon <= end; start += stride) found.push(start);
  });
  const shared = new Int32Array(new SharedArrayBuffer(4 * found.length));
  shared.set(found);
  return shared;
}

/** Two rows of one series at the same time are probably of two series. */
async function repeatFaults(file: ViewedFile, series: Int32Array, { order }: WindowRule): Promise<DataFault[]> {
  const index = file.index(order);
  const times = await file.numbers(index);
  const repeated = times.findIndex(
    (time, row) => row > 0 && time === times[row - 1] && series[row] === series[row - 1],
  );
  if (repeated < 0) return [];
  const { type } = file.content.columns[index];
  const time = type === "date" ? new Date(times[repeated]).toISOString() : String(times[repeated]);
  const message = `names ${JSON.stringify(order)}, which has ${time} twice in one series; /data/window/series names the column that tells series apart`;
  return [{ pointer: "/data/window/order", message }];
}

/** A side with rows, but without a stretch that is long enough for a sample. */
function lengthFaults(
  rows: Split,
  samples: Split,
  series: Int32Array,
  { window, validation, test }: DataSpec,
): DataFault[] {
  const { length, horizon } = window!;
  const wanted = [
    ["train", "/data/window/length", true],
    ["valid", "/data/validation", validation !== null],
    ["test", "/data/test", test !== null],
  ] as const;
  const verbs = { train: "train", valid: "validate", test: "test" };
  return wanted
    .filter(([side, , isWanted]) => isWanted && rows[side].length > 0 && samples[side].length === 0)
    .map(([side, pointer]) => {
      let longest = 0;
      eachStretch(rows[side], series, (begin, end) => (longest = Math.max(longest, end - begin)));
      const message = `leaves no sample to ${verbs[side]}: ${length} rows and the target ${horizon} after them take ${length + horizon} rows of one series that follow each other, and the longest such stretch has ${longest}`;
      return { pointer, message };
    });
}

/** The `data` by which single rows are encoded. */
export function rowSpec(data: DataSpec): DataSpec {
  return data.window === null ? data : { ...data, shape: null };
}

/** An input of single rows becomes one of samples. */
export function windowed<T extends NamedValue>(input: T, { window, shape }: DataSpec): T {
  if (window === null) return input;
  const { categories } = input;
  const most = Array.isArray(categories) ? categories.reduce((a: number, b: number) => Math.max(a, b), 0) : categories;
  return {
    ...input,
    shape: shape ?? [window.length, ...input.shape],
    ...(most === undefined ? {} : { categories: most }),
  };
}

/** The faults of a shape that does not hold a sample. `width`: numbers of a row. */
export function windowShapeFaults({ window, shape }: DataSpec, width: number): DataFault[] {
  return window === null ? [] : shapeFaults(shape, window.length * width);
}

/** Inherited inputs hold the samples of their own job, so those of this one need as many rows. */
export function inheritedWindowFaults(inputs: readonly InputEncoding[], { window }: DataSpec): DataFault[] {
  const length = window?.length ?? 1;
  return inputs.flatMap(({ shape, type, encoders }): DataFault[] => {
    // An array is a row by itself, whatever its size.
    if (window === null && encoders.some((encoder) => encoder.type === "tensor")) return [];
    const rows = size(shape) / widthOf(encoders, type);
    if (rows === length) return [];
    const message = `makes samples of ${counted(length)}, and the inherited encoders are for ${counted(rows)}; "encoders": "refit" in the data fits new ones`;
    return [{ pointer: "/data/window", message }];
  });
}

const counted = (rows: number): string => (rows === 1 ? "1 row" : `${rows} rows`);

/** The rows of the targets. */
export function targetRows(samples: Int32Array, ahead: number): Int32Array {
  return ahead === 0 ? samples : samples.map((start) => start + ahead);
}

/** One input for all rows, which the samples of a window share. `into`: as of `applyEncoders`. */
export async function applyWindowed(
  input: InputEncoding,
  rows: ColumnSource,
  window: WindowRule | null,
  into?: ArrayBufferLike,
): Promise<InputArray> {
  if (window === null) return await applyEncoders(input, rows, into);
  const step = widthOf(input.encoders, input.type);
  const { values } = await applyEncoders({ ...input, shape: [step] }, rows, into);
  const { encoders: _, ...named } = input;
  return { ...named, values, step };
}

/** The target of a sample lies ahead of its first row. */
export function shiftTargets<T extends Pick<TrainingData, "targets" | "targetShape">>(applied: T, ahead: number): T {
  if (ahead === 0) return applied;
  const step = size(applied.targetShape);
  return { ...applied, targets: applied.targets.subarray(ahead * step), targetStep: step };
}
