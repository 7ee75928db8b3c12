/*
 * Fits the encoders of the features to the training rows: what each column becomes in the model's
 * inputs, and the statistics that this takes. `applyEncoders` (apply.ts) makes the numbers.
 *
 * Columns with one number a row become one input: each its own numbers, side by side. An array is
 * an input by itself (fit-tensor.ts). What else they become depends on what the model takes:
 *
 * - Whole numbers stay what they are where the model begins with a layer that takes them, such as
 *   an embedding.
 * - The classes of columns are an input of integers, apart from the numbers, where a layer takes
 *   the columns of a table apart.
 */
import { COLUMN_INPUTS } from "../../engine/layers/layer.ts";
import type { NamedValue } from "../../engine/plan/graph.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import { size, type Shape } from "../../engine/member/shape.ts";
import { holdsDoubles, missingTest } from "../columns/column.ts";
import type { ColumnSummary, TensorColumn } from "../dataset.ts";
import { widthOf } from "./apply.ts";
import type { DataFault } from "./check.ts";
import { datePart } from "./date-parts.ts";
import { dateParts, type CategoricalEncoder, type DataSpec, type Encoder, type InputEncoding } from "./encoding.ts";
import { featuresOf, isArray } from "./features.ts";
import { classCounts, fillOf, statisticsOf } from "./statistics.ts";
import { FEATURES, fitTensor, shapeFaults, tensorFaults, tensorInput } from "./fit-tensor.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** What the plan needs to know of the inputs, and the faults that only the rows show. */
export interface MeasuredInputs {
  /** Numbers of a row. */
  readonly width: number;
  readonly inputs: readonly NamedValue[];
  readonly faults: readonly DataFault[];
}

export async function measureInputs(
  file: ViewedFile,
  data: DataSpec,
  takes: FeatureForm,
  train: Int32Array,
): Promise<MeasuredInputs> {
  const names = featuresOf(file.content, data);
  const array = arrayAmong(file, names);
  if (array !== null) {
    const input = tensorInput(array, data.shape, takes);
    return { width: size(array.shape), inputs: [input], faults: tensorFaults(array, data, takes) };
  }
  const integers = takes === "int32" ? await integersOf(file, names) : null;
  if (integers !== null) return measuredScalars(names.length, data, integers);
  const { numbers, encoders } = await measureColumns(file, names, data, train);
  if (takes !== "columns") return measuredScalars(numbers + widthOf(encoders), data);
  const inputs = columnInputs(numbers, encoders);
  return { width: numbers + encoders.length, inputs, faults: columnFaults(encoders.length, data) };
}

/** Of columns that become one input. */
export function measuredScalars(
  width: number,
  { shape }: DataSpec,
  integers: readonly number[] | null = null,
): MeasuredInputs {
  return { width, inputs: [scalarInput(width, shape, integers)], faults: shapeFaults(shape, width) };
}

/** The faults of data that a model takes as classes and numbers apart. */
export function columnFaults(categoricalColumns: number, { shape }: DataSpec): DataFault[] {
  const faults: DataFault[] = [];
  if (categoricalColumns === 0) {
    const message =
      'must have a categorical column, because the model takes classes beside numbers: declare one in /data/columns, such as {"zip": "categorical"}, or use a model that takes numbers alone';
    faults.push({ pointer: "/data/features", message });
  }
  if (shape !== null) {
    const message = "must be null: the model takes the classes and the numbers of a row apart";
    faults.push({ pointer: "/data/shape", message });
  }
  return faults;
}

export async function fitInputs(
  file: ViewedFile,
  data: DataSpec,
  takes: FeatureForm,
  train: Int32Array,
): Promise<InputEncoding[]> {
  const names = featuresOf(file.content, data);
  const array = arrayAmong(file, names);
  if (array !== null) return [fitTensor(array, await file.elements(file.index(array.name)), data, takes, train)];
  const integers = takes === "int32" ? await integersOf(file, names) : null;
  const preprocess = integers === null ? data.preprocess : { ...data.preprocess, numeric: "none" as const };
  const encoders: Encoder[] = [];
  for (const name of names) {
    const index = file.index(name);
    for (const encoder of fitFeature(file, index, await file.values(index), preprocess, train)) encoders.push(encoder);
  }
  if (takes === "columns") return encodedApart(encoders);
  return [{ ...scalarInput(widthOf(encoders), data.shape, integers), encoders }];
}

/** The inputs of a model that takes classes and numbers apart. */
export function encodedApart(encoders: readonly Encoder[]): InputEncoding[] {
  const classes = encoders.filter(isCategorical);
  const numbers = encoders.filter((encoder) => !isCategorical(encoder));
  return columnInputs(numbers.length, classes).map((input) => {
    return { ...input, encoders: input.type === "int32" ? classes : numbers };
  });
}

/** An array is the only feature. */
function arrayAmong(file: ViewedFile, [name]: readonly string[]): TensorColumn | null {
  const column = file.content.columns[file.index(name)];
  return isArray(column) ? column : null;
}

function scalarInput(width: number, shape: Shape | null, integers: readonly number[] | null): NamedValue {
  const value = { name: FEATURES, shape: shape ?? [width] };
  if (integers === null) return { ...value, type: "float32" };
  return { ...value, type: "int32", categories: shape === null ? integers : Math.max(...integers) };
}

/** The first layer takes the numbers, if there are any. The code 0 is no class (apply.ts). */
function columnInputs(numbers: number, encoders: readonly CategoricalEncoder[]): NamedValue[] {
  const [codes, rest] = COLUMN_INPUTS;
  const categories = encoders.map(({ classes }) => classes.length + 1);
  const columns = encoders.map(({ column }) => column);
  return [
    ...(numbers === 0 ? [] : [{ name: rest, shape: [numbers], type: "float32" } as const]),
    { name: codes, shape: [encoders.length], type: "int32", categories, columns },
  ];
}

/** Whether the inputs are those of columns that are taken apart. */
export function isApart(inputs: readonly NamedValue[]): boolean {
  return inputs.some(({ name }) => name === COLUMN_INPUTS[0]);
}

/** How many numbers from 0 each column may hold; null unless all of them are whole ones from 0. */
async function integersOf(file: ViewedFile, names: readonly string[]): Promise<number[] | null> {
  const categories: number[] = [];
  for (const name of names) {
    const index = file.index(name);
    const { type, missing, min, max } = file.content.columns[index];
    if (type !== "numeric" || missing > 0 || Number(min) < 0 || Number(max) >= 2 ** 31) return null;
    if (!(await file.numbers(index)).every(Number.isInteger)) return null;
    categories.push(Number(max) + 1);
  }
  return categories;
}

/** How many numbers of a row the columns give, and the encoders of those that give classes. */
async function measureColumns(file: ViewedFile, names: readonly string[], data: DataSpec, train: Int32Array) {
  const encoders: CategoricalEncoder[] = [];
  let numbers = 0;
  for (const name of names) {
    const index = file.index(name);
    const known = knownWidth(file.content.columns[index], data.preprocess);
    numbers += known ?? 0;
    if (known !== null) continue;
    for (const encoder of fitFeature(file, index, await file.values(index), data.preprocess, train)) {
      if (isCategorical(encoder)) encoders.push(encoder);
      else numbers++;
    }
  }
  return { numbers, encoders };
}

/** How many numbers a column gives; null: it must be read to know. Most need not be read. */
function knownWidth(summary: ColumnSummary, { missing_indicator }: Preprocess): number | null {
  if (!holdsDoubles(summary) || (missing_indicator && summary.missing > 0)) return null;
  return summary.type === "date" ? dateParts.length : 1;
}

const isCategorical = (encoder: Encoder): encoder is CategoricalEncoder => encoder.type === "categorical";

type Preprocess = DataSpec["preprocess"];

function fitFeature(
  file: ViewedFile,
  index: number,
  values: Float64Array | Uint16Array,
  preprocess: Preprocess,
  train: Int32Array,
): Encoder[] {
  const { name: column, type, classes } = file.content.columns[index];
  const encoders: Encoder[] = [];
  if (values instanceof Uint16Array) encoders.push(fitClasses(column, classes ?? [], values, preprocess, train));
  else if (type === "numeric") encoders.push({ column, type, ...fitNumbers(values, preprocess, train) });
  else
    for (const part of dateParts)
      encoders.push({ column, type: "date", part, ...fitNumbers(datePart(values, part), preprocess, train) });
  const isMissing = missingTest(values);
  if (preprocess.missing_indicator && train.some((row) => isMissing(values[row])))
    encoders.push({ column, type: "missing_indicator" });
  return encoders;
}

function fitNumbers(values: Float64Array, { numeric, missing }: Preprocess, train: Int32Array) {
  const statistics = statisticsOf(values, train);
  return { scale: numeric, ...statistics, fill: fillOf(values, train, statistics, missing) };
}

/** A missing class is replaced by the most frequent one; of several, by the first. */
function fitClasses(
  column: string,
  classes: readonly string[],
  codes: Uint16Array,
  { missing }: Preprocess,
  train: Int32Array,
): CategoricalEncoder {
  const counts = classCounts(codes, train, classes.length);
  const seen = classes.filter((_, code) => counts[code] > 0);
  const most = counts.reduce((best, count, code) => (count > counts[best] ? code : best), 0);
  const fill = missing === "most_frequent" && seen.length > 0 ? classes[most] : null;
  return { column, type: "categorical", classes: seen, fill };
}
