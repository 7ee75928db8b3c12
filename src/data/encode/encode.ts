/*
 * Turns typed columns into what the engine trains on. It runs in a helper thread, with one column
 * in memory at a time.
 *
 * These numbers influence the training, so each is computed in one fixed order. Sums run over the
 * training rows in file order, in double: first the mean, then the squared deviations from it. A
 * scaled value is (x − offset) / divisor in double, rounded once to float32. The only function of
 * `Math` used is `sqrt`, which IEEE 754 defines to the last bit.
 */
import type { TargetFacts } from "../../engine/metrics/metric.ts";
import type { TargetKind, TrainingData } from "../../engine/training.ts";
import { checkData, checkSizes, type DataFault } from "./check.ts";
import { holdsDoubles, MISSING_CODE, missingTest } from "../columns/column.ts";
import { datePart } from "./date-parts.ts";
import {
  dateParts,
  type CategoricalEncoder,
  type DataSizes,
  type DataSpec,
  type DateEncoder,
  type Encoded,
  type Encoder,
  type Encoding,
  type NumericEncoder,
} from "./encoding.ts";
import { featuresOf } from "./features.ts";
import { splitRows } from "./split.ts";
import { classCounts, fillOf, statisticsOf } from "./statistics.ts";
import { ViewedFile } from "./viewed-file.ts";

export interface EncodeInput {
  /** The file of columns. */
  readonly path: string;
  readonly data: DataSpec;
  readonly targets: TargetKind;
}

/** The sizes, or the faults that only the rows can show. */
export type Measured = { readonly sizes: DataSizes } | { readonly faults: DataFault[] };

export function measureFile({ path, data, targets }: EncodeInput): Promise<Measured> {
  return ViewedFile.with(path, data.columns, async (file) => {
    const wrong = checkData(file.content, data, targets);
    if (wrong.length > 0) return { faults: wrong };
    const { train, valid, test } = await splitRows(file, data);
    let width = 0;
    for (const name of featuresOf(file.content, data)) width += await featureWidth(file, name, data, train);
    const counts = { train: train.length, valid: valid.length, test: test.length, width };
    const facts = await targetSizes(file, data.target, targets, train, valid);
    const sizes = { ...counts, ...facts, empty: await emptyFeatures(file, data, train) };
    const faults = checkSizes(sizes, data);
    return faults.length > 0 ? { faults } : { sizes };
  });
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

/** Only a column that misses as many cells as there are training rows needs to be read. */
async function emptyFeatures(file: ViewedFile, data: DataSpec, train: Int32Array): Promise<string[]> {
  const empty: string[] = [];
  for (const name of featuresOf(file.content, data)) {
    const index = file.index(name);
    if (file.content.columns[index].missing < train.length) continue;
    const values = await file.values(index);
    const isMissing = missingTest(values);
    if (train.every((row) => isMissing(values[row]))) empty.push(name);
  }
  return empty;
}

async function targetSizes(
  file: ViewedFile,
  target: string,
  targets: TargetKind,
  train: Int32Array,
  valid: Int32Array,
): Promise<Pick<DataSizes, "untrained" | "trained" | "validated">> {
  const index = file.index(target);
  const classes = targets === "class" ? (file.content.columns[index].classes ?? []) : [];
  const values = targets === "class" ? await classIndices(file, index, classes) : await file.numbers(index);
  const isBetween = (value: number) => targets === "probability" && value > 0 && value < 1;
  return {
    untrained: untrainedClasses(classes, values, train),
    trained: factsOn(values, train, isBetween),
    validated: factsOn(values, valid, isBetween),
  };
}

function untrainedClasses(classes: readonly string[], indices: ArrayLike<number>, train: Int32Array): string[] {
  const seen = new Set<number>();
  for (const row of train) seen.add(indices[row]);
  return classes.filter((_, at) => !seen.has(at));
}

function factsOn(values: ArrayLike<number>, rows: Int32Array, isBetween: (value: number) => boolean): TargetFacts {
  let vary = false;
  let between = false;
  for (const row of rows) {
    vary ||= values[row] !== values[rows[0]];
    between ||= isBetween(values[row]);
  }
  return { vary, between };
}

/** The name of the input that a table's scalar features make. */
export const FEATURES = "features";

/** @throws Error if the spec does not fit the dataset, which earlier checks should have found */
export function encodeFile({ path, data, targets }: EncodeInput): Promise<Encoded> {
  return ViewedFile.with(path, data.columns, async (file) => {
    assertFits(checkData(file.content, data, targets));
    const { train, valid, test } = await splitRows(file, data);
    const features: Feature[] = [];
    for (const name of featuresOf(file.content, data)) {
      const index = file.index(name);
      const encoders = fitFeature(file, index, await file.values(index), data.preprocess, train);
      features.push({ index, encoders });
    }
    const inputs = features.flatMap(({ encoders }) => encoders);
    const width = inputs.reduce((sum, encoder) => sum + widthOf(encoder), 0);
    assertFits(checkSizes({ train: train.length, valid: valid.length, test: test.length, width }, data));

    const encoded = await encodeFeatures(file, features, width);
    const { values, units, description } = await encodeTarget(file, data, targets, train);
    return {
      data: {
        inputs: [{ name: FEATURES, shape: [width], type: "float32", values: encoded }],
        targets: values,
        targetShape: [],
        trainRows: train,
        validRows: valid,
        testRows: test,
        target: units,
      },
      encoding: { inputs, target: description },
    };
  });
}

function assertFits(faults: readonly DataFault[]): void {
  if (faults.length > 0)
    throw new Error(`The dataset does not fit the spec: ${faults[0].pointer} ${faults[0].message}.`);
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
  readonly features: Float32Array;
  readonly first: number;
  readonly width: number;
}

async function encodeFeatures(file: ViewedFile, inputs: readonly Feature[], width: number): Promise<Float32Array> {
  const features = new Float32Array(new SharedArrayBuffer(4 * file.content.rows * width));
  let first = 0;
  for (const { index, encoders } of inputs) {
    const values = await file.values(index);
    for (const encoder of encoders) {
      encodeColumn(encoder, file.content.columns[index].classes ?? [], values, { features, first, width });
      first += widthOf(encoder);
    }
  }
  return features;
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

interface EncodedTarget {
  readonly values: TrainingData["targets"];
  readonly units: TrainingData["target"];
  readonly description: Encoding["target"];
}

async function encodeTarget(
  file: ViewedFile,
  data: DataSpec,
  targets: TargetKind,
  train: Int32Array,
): Promise<EncodedTarget> {
  const index = file.index(data.target);
  const column = data.target;
  if (targets === "class") {
    const classes = file.content.columns[index].classes ?? [];
    return {
      values: await classIndices(file, index, classes),
      units: { classes, mean: 0, std: 1 },
      description: { column, task: "classification", classes, mean: null, std: null },
    };
  }
  const numbers = await file.numbers(index);
  const isScaled =
    data.preprocess.target === "standardize" || (data.preprocess.target === "auto" && targets === "value");
  const { mean, std } = isScaled ? statisticsOf(numbers, train) : { mean: 0, std: 1 };
  const values = new Float32Array(new SharedArrayBuffer(4 * numbers.length));
  // A missing cell is in a row that was dropped.
  for (let row = 0; row < values.length; row++)
    values[row] = Number.isNaN(numbers[row]) ? 0 : (numbers[row] - mean) / std;
  const task = targets === "value" ? "regression" : "classification";
  return { values, units: { classes: null, mean, std }, description: { column, task, classes: null, mean, std } };
}

async function classIndices(file: ViewedFile, index: number, classes: readonly string[]): Promise<Int32Array> {
  const indices = new Int32Array(new SharedArrayBuffer(4 * file.content.rows));
  if (file.content.columns[index].type === "numeric") {
    const position = new Map(classes.map((name, at) => [Number(name), at]));
    const numbers = await file.numbers(index);
    for (let row = 0; row < indices.length; row++) indices[row] = position.get(numbers[row]) ?? 0;
  } else {
    const codes = await file.codes(index);
    for (let row = 0; row < indices.length; row++) indices[row] = codes[row] === MISSING_CODE ? 0 : codes[row];
  }
  return indices;
}
