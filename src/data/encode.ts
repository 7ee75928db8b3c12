/*
 * From typed columns to what the engine trains on. Runs in a helper thread, one column in memory at a time.
 *
 * The numbers here influence the training, so each is computed in one fixed order: sums run over the training rows in
 * file order, in double, the mean first and then the squared deviations from it; a scaled value is (x − offset) /
 * divisor in double, rounded once to float32. No function of `Math` but `sqrt` is used, which IEEE 754 defines to the
 * last bit.
 */
import type { TargetKind, TrainingData } from "../engine/training.ts";
import { checkData, checkSizes } from "./check.ts";
import { ColumnFile } from "./column-file.ts";
import { MISSING_CODE } from "./column.ts";
import {
  featuresOf,
  type CategoricalEncoder,
  type DataSizes,
  type DataSpec,
  type Encoded,
  type Encoder,
  type Encoding,
  type NumericEncoder,
} from "./encoding.ts";
import { splitRows } from "./split.ts";

export interface EncodeInput {
  /** The file of columns. */
  readonly path: string;
  readonly data: DataSpec;
  readonly targets: TargetKind;
}

export function measureFile({ path, data, targets }: EncodeInput): Promise<DataSizes> {
  return ColumnFile.with(path, async (file) => {
    const { train, valid } = await splitRows(file, data);
    let width = 0;
    for (const name of featuresOf(file.content.columns, data)) {
      const index = file.index(name);
      width +=
        file.content.columns[index].type === "numeric" ? 1 : (await fitCategorical(file, index, train)).classes.length;
    }
    const untrained = targets === "class" ? await untrainedClasses(file, data.target, train) : [];
    return { train: train.length, valid: valid.length, width, untrained };
  });
}

async function untrainedClasses(file: ColumnFile, target: string, train: Int32Array): Promise<string[]> {
  const index = file.index(target);
  const classes = file.content.columns[index].classes ?? [];
  const indices = await classIndices(file, index, classes);
  const seen = new Set<number>();
  for (const row of train) seen.add(indices[row]);
  return classes.filter((_, at) => !seen.has(at));
}

/** @throws Error if the spec does not fit the dataset, which the checks before should have said. */
export function encodeFile({ path, data, targets }: EncodeInput): Promise<Encoded> {
  return ColumnFile.with(path, async (file) => {
    assertFits(checkData(file.content, data, targets));
    const { train, valid } = await splitRows(file, data);
    const inputs: Encoder[] = [];
    for (const name of featuresOf(file.content.columns, data)) inputs.push(await fit(file, name, data, train));
    const width = inputs.reduce((sum, encoder) => sum + widthOf(encoder), 0);
    assertFits(checkSizes({ train: train.length, valid: valid.length, width }, data));

    const features = await encodeFeatures(file, inputs, width);
    const { values, units, description } = await encodeTarget(file, data, targets, train);
    return {
      data: { features, width, targets: values, trainRows: train, validRows: valid, target: units },
      encoding: { inputs, target: description },
    };
  });
}

function assertFits(faults: ReturnType<typeof checkData>): void {
  if (faults.length > 0)
    throw new Error(`The dataset does not fit the spec: ${faults[0].pointer} ${faults[0].message}.`);
}

async function fit(file: ColumnFile, name: string, { preprocess }: DataSpec, train: Int32Array): Promise<Encoder> {
  const index = file.index(name);
  if (file.content.columns[index].type === "categorical") return fitCategorical(file, index, train);
  const statistics = statisticsOf(await file.numbers(index), train);
  const fill = preprocess.missing === "mean" ? statistics.mean : null;
  return { column: name, type: "numeric", scale: preprocess.numeric, ...statistics, fill };
}

async function fitCategorical(file: ColumnFile, index: number, train: Int32Array): Promise<CategoricalEncoder> {
  const { name, classes } = file.content.columns[index];
  const codes = await file.codes(index);
  const seen = new Set<number>();
  for (const row of train) seen.add(codes[row]);
  return { column: name, type: "categorical", classes: (classes ?? []).filter((_, code) => seen.has(code)) };
}

/**
 * Of the values in the given rows that are there. If they are all the same, the deviation is given
 * as 1 and the mean is that value: computed, both would be off by rounding, and the quotient of two
 * rounding errors can be any number. Without any value all others are 0.
 */
function statisticsOf(values: Float64Array, rows: Int32Array): Pick<NumericEncoder, "mean" | "std" | "min" | "max"> {
  let count = 0;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const row of rows) {
    const value = values[row];
    if (Number.isNaN(value)) continue;
    count++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (count === 0) return { mean: 0, std: 1, min: 0, max: 0 };
  if (min === max) return { mean: min, std: 1, min, max };
  const mean = sum / count;
  let squares = 0;
  for (const row of rows) {
    const deviation = values[row] - mean;
    if (!Number.isNaN(deviation)) squares += deviation * deviation;
  }
  return { mean, std: Math.sqrt(squares / count) || 1, min, max };
}

function widthOf(encoder: Encoder): number {
  return encoder.type === "numeric" ? 1 : encoder.classes.length;
}

async function encodeFeatures(file: ColumnFile, inputs: readonly Encoder[], width: number): Promise<Float32Array> {
  const features = new Float32Array(new SharedArrayBuffer(4 * file.content.rows * width));
  let first = 0;
  for (const encoder of inputs) {
    const index = file.index(encoder.column);
    if (encoder.type === "numeric") encodeNumeric(encoder, await file.numbers(index), features, first, width);
    else
      encodeCategorical(
        encoder,
        file.content.columns[index].classes ?? [],
        await file.codes(index),
        features,
        first,
        width,
      );
    first += widthOf(encoder);
  }
  return features;
}

function encodeNumeric(
  encoder: NumericEncoder,
  values: Float64Array,
  features: Float32Array,
  first: number,
  width: number,
): void {
  const { offset, divisor } = scaling(encoder);
  for (let row = 0; row < values.length; row++) {
    const value = Number.isNaN(values[row]) ? encoder.fill : values[row];
    // A cell that is empty and may not be is in a row that was dropped.
    if (value !== null) features[row * width + first] = (value - offset) / divisor;
  }
}

function scaling({ scale, mean, std, min, max }: NumericEncoder): { offset: number; divisor: number } {
  if (scale === "standardize") return { offset: mean, divisor: std };
  if (scale === "min_max") return { offset: min, divisor: max - min || 1 };
  return { offset: 0, divisor: 1 };
}

function encodeCategorical(
  encoder: CategoricalEncoder,
  classes: readonly string[],
  codes: Uint16Array,
  features: Float32Array,
  first: number,
  width: number,
): void {
  const position = new Map(encoder.classes.map((name, input) => [classes.indexOf(name), input]));
  for (let row = 0; row < codes.length; row++) {
    const input = position.get(codes[row]);
    if (input !== undefined) features[row * width + first + input] = 1;
  }
}

interface EncodedTarget {
  readonly values: TrainingData["targets"];
  readonly units: TrainingData["target"];
  readonly description: Encoding["target"];
}

async function encodeTarget(
  file: ColumnFile,
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
  // An empty cell is in a row that was dropped.
  for (let row = 0; row < values.length; row++)
    values[row] = Number.isNaN(numbers[row]) ? 0 : (numbers[row] - mean) / std;
  const task = targets === "value" ? "regression" : "classification";
  return { values, units: { classes: null, mean, std }, description: { column, task, classes: null, mean, std } };
}

async function classIndices(file: ColumnFile, index: number, classes: readonly string[]): Promise<Int32Array> {
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
