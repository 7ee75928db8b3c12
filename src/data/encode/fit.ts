/*
 * Fits the encoders of the features to the training rows: what each column becomes in the model's
 * input, and the statistics that this takes. `applyEncoders` (apply.ts) makes the numbers.
 *
 * Columns with one number a row become one input: each its own numbers, side by side. An array is
 * an input by itself (fit-tensor.ts). Whole numbers stay what they are where the model begins with
 * a layer that takes them, such as an embedding.
 */
import type { NamedValue } from "../../engine/plan/graph.ts";
import { size, type ElementType, type Shape } from "../../engine/member/shape.ts";
import { holdsDoubles, missingTest } from "../columns/column.ts";
import type { TensorColumn } from "../dataset.ts";
import { widthOf } from "./apply.ts";
import type { DataFault } from "./check.ts";
import { datePart } from "./date-parts.ts";
import { dateParts, type CategoricalEncoder, type DataSpec, type Encoder, type InputEncoding } from "./encoding.ts";
import { featuresOf, isArray } from "./features.ts";
import { classCounts, fillOf, statisticsOf } from "./statistics.ts";
import { FEATURES, fitTensor, shapeFaults, tensorFaults, tensorInput } from "./fit-tensor.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** What the plan needs to know of the input, and the faults that only the rows show. */
export interface MeasuredInput {
  /** Numbers of a row. */
  readonly width: number;
  readonly input: NamedValue;
  readonly faults: readonly DataFault[];
}

export async function measureInput(
  file: ViewedFile,
  data: DataSpec,
  takes: ElementType,
  train: Int32Array,
): Promise<MeasuredInput> {
  const names = featuresOf(file.content, data);
  const array = arrayAmong(file, names);
  if (array !== null) {
    const input = tensorInput(array, data.shape, takes);
    return { width: size(array.shape), input, faults: tensorFaults(array, data, takes) };
  }
  const integers = takes === "int32" ? await integersOf(file, names) : null;
  let width = names.length;
  if (integers === null) {
    width = 0;
    for (const name of names) width += await featureWidth(file, name, data, train);
  }
  return { width, input: scalarInput(width, data.shape, integers), faults: shapeFaults(data.shape, width) };
}

export async function fitInputs(
  file: ViewedFile,
  data: DataSpec,
  takes: ElementType,
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
  return [{ ...scalarInput(widthOf(encoders), data.shape, integers), encoders }];
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

async function featureWidth(file: ViewedFile, name: string, { preprocess }: DataSpec, train: Int32Array) {
  const index = file.index(name);
  const summary = file.content.columns[index];
  const mayBeIndicated = preprocess.missing_indicator && summary.missing > 0;
  // Most columns need not be read.
  if (holdsDoubles(summary) && !mayBeIndicated) return summary.type === "date" ? dateParts.length : 1;
  const encoders = fitFeature(file, index, await file.values(index), preprocess, train);
  return widthOf(encoders);
}

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
