/*
 * Columns with one number a row become the input of the model: each its own numbers, side by side.
 * An array is an input by itself (tensor-input.ts).
 *
 * Whole numbers stay what they are where the model begins with a layer that takes them, such as an
 * embedding.
 */
import type { NamedValue } from "../../engine/plan/graph.ts";
import { size, type ElementType, type Shape } from "../../engine/member/shape.ts";
import type { InputArray } from "../../engine/training.ts";
import { holdsDoubles, MISSING_CODE, missingTest } from "../columns/column.ts";
import type { TensorColumn } from "../dataset.ts";
import type { DataFault } from "./check.ts";
import { datePart } from "./date-parts.ts";
import {
  dateParts,
  type CategoricalEncoder,
  type DataSpec,
  type DateEncoder,
  type Encoder,
  type NumericEncoder,
} from "./encoding.ts";
import { featuresOf, isArray } from "./features.ts";
import { classCounts, fillOf, statisticsOf } from "./statistics.ts";
import { encodeTensor, FEATURES, shapeFaults, tensorFaults, tensorInput } from "./tensor-input.ts";
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

/** @throws Error if the shape does not fit, which earlier checks should have found */
export async function encodeInput(
  file: ViewedFile,
  data: DataSpec,
  takes: ElementType,
  train: Int32Array,
): Promise<{ input: InputArray; encoders: readonly Encoder[] }> {
  const names = featuresOf(file.content, data);
  const array = arrayAmong(file, names);
  if (array !== null) return encodeTensor(array, await file.elements(file.index(array.name)), data, takes, train);
  const integers = takes === "int32" ? await integersOf(file, names) : null;
  const preprocess = integers === null ? data.preprocess : { ...data.preprocess, numeric: "none" as const };
  const features: Feature[] = [];
  for (const name of names) {
    const index = file.index(name);
    features.push({ index, encoders: fitFeature(file, index, await file.values(index), preprocess, train) });
  }
  const encoders = features.flatMap((feature) => feature.encoders);
  const width = encoders.reduce((sum, encoder) => sum + widthOf(encoder), 0);
  const bytes = new SharedArrayBuffer(4 * file.content.rows * width);
  const values = integers === null ? new Float32Array(bytes) : new Int32Array(bytes);
  await encodeFeatures(file, features, values, width);
  return { input: { ...scalarInput(width, data.shape, integers), values }, encoders };
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
  return encoders.reduce((sum, encoder) => sum + widthOf(encoder), 0);
}

/** A column, and the inputs that are made of it. */
interface Feature {
  readonly index: number;
  readonly encoders: readonly Encoder[];
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

function widthOf(encoder: Encoder): number {
  return encoder.type === "categorical" ? encoder.classes.length : 1;
}

/** The place of a column's inputs: they begin at `first` in each row of `width`. */
interface Place {
  readonly features: Float32Array | Int32Array;
  readonly first: number;
  readonly width: number;
}

async function encodeFeatures(
  file: ViewedFile,
  inputs: readonly Feature[],
  features: Float32Array | Int32Array,
  width: number,
): Promise<void> {
  let first = 0;
  for (const { index, encoders } of inputs) {
    const values = await file.values(index);
    for (const encoder of encoders) {
      encodeColumn(encoder, file.content.columns[index].classes ?? [], values, { features, first, width });
      first += widthOf(encoder);
    }
  }
}

function encodeColumn(
  encoder: Encoder,
  classes: readonly string[],
  values: Float64Array | Uint16Array,
  place: Place,
): void {
  switch (encoder.type) {
    case "numeric":
      return encodeNumbers(encoder, values as Float64Array, place);
    case "date":
      return encodeNumbers(encoder, datePart(values as Float64Array, encoder.part), place);
    case "categorical":
      return encodeClasses(encoder, classes, values as Uint16Array, place);
    case "missing_indicator":
      return encodeMissing(values, place);
    case "tensor":
      throw new Error("An array is no column of numbers.");
  }
}

function encodeNumbers(
  encoder: NumericEncoder | DateEncoder,
  values: Float64Array,
  { features, first, width }: Place,
): void {
  const { offset, divisor } = scaling(encoder);
  for (let row = 0; row < values.length; row++) {
    const value = Number.isNaN(values[row]) ? encoder.fill : values[row];
    // A missing cell without a fill is in a row that was dropped.
    if (value !== null) features[row * width + first] = (value - offset) / divisor;
  }
}

function scaling({ scale, mean, std, min, max }: NumericEncoder | DateEncoder): { offset: number; divisor: number } {
  if (scale === "standardize") return { offset: mean, divisor: std };
  if (scale === "min_max") return { offset: min, divisor: max - min || 1 };
  return { offset: 0, divisor: 1 };
}

function encodeClasses(
  encoder: CategoricalEncoder,
  classes: readonly string[],
  codes: Uint16Array,
  { features, first, width }: Place,
): void {
  const position = new Map(encoder.classes.map((name, input) => [classes.indexOf(name), input]));
  if (encoder.fill !== null) position.set(MISSING_CODE, encoder.classes.indexOf(encoder.fill));
  for (let row = 0; row < codes.length; row++) {
    const input = position.get(codes[row]);
    if (input !== undefined) features[row * width + first + input] = 1;
  }
}

function encodeMissing(values: Float64Array | Uint16Array, { features, first, width }: Place): void {
  const isMissing = missingTest(values);
  for (let row = 0; row < values.length; row++) if (isMissing(values[row])) features[row * width + first] = 1;
}
