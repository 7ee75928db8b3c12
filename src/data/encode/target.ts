/*
 * The target: a class or a number a row, several columns of numbers, or an array in each row, whose
 * elements are numbers or classes of positions.
 *
 * Columns are standardised each by itself, an array by one mean and one deviation.
 */
import { size, type Shape } from "../../engine/member/shape.ts";
import type { TargetFacts } from "../../engine/metrics/metric.ts";
import type { TargetKind, TrainingData } from "../../engine/training.ts";
import { MISSING_CODE } from "../columns/column.ts";
import type { DataSizes, DataSpec, Encoding } from "./encoding.ts";
import { isArray, targetColumns } from "./features.ts";
import { statisticsOf } from "./statistics.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** The target before it is scaled. */
export interface Target {
  /** For one row. */
  readonly shape: Shape;
  readonly classes: readonly string[] | null;
  /** The columns it is made of, each with `width` indices of classes, or numbers, in a row. */
  readonly parts: readonly { readonly values: ArrayLike<number>; readonly width: number }[];
}

export async function readTarget(file: ViewedFile, data: DataSpec, targets: TargetKind): Promise<Target> {
  const names = targetColumns(data);
  const index = file.index(names[0]);
  const column = file.content.columns[index];
  const shape = isArray(column) ? column.shape : typeof data.target === "string" ? [] : [names.length];
  if (targets === "class") {
    const classes = column.classes ?? [];
    return { shape, classes, parts: [{ values: await classIndices(file, index, classes), width: size(shape) }] };
  }
  if (isArray(column))
    return { shape, classes: null, parts: [{ values: await file.elements(index), width: size(shape) }] };
  const parts = [];
  for (const name of names) parts.push({ values: await file.numbers(file.index(name)), width: 1 });
  return { shape, classes: null, parts };
}

/** What is known of the target in the rows that train and in those that validate. */
export function targetFacts(
  { classes, parts }: Target,
  targets: TargetKind,
  train: Int32Array,
  valid: Int32Array,
): Pick<DataSizes, "untrained" | "trained" | "validated"> {
  const isBetween = (value: number) => targets === "probability" && value > 0 && value < 1;
  return {
    untrained: classes === null ? [] : untrainedClasses(classes, parts[0], train),
    trained: factsOn(parts, train, isBetween),
    validated: factsOn(parts, valid, isBetween),
  };
}

type Part = Target["parts"][number];

function untrainedClasses(classes: readonly string[], { values, width }: Part, train: Int32Array): string[] {
  const seen = new Set<number>();
  for (const row of train) for (let i = row * width; i < (row + 1) * width; i++) seen.add(values[i]);
  return classes.filter((_, at) => !seen.has(at));
}

function factsOn(parts: readonly Part[], rows: Int32Array, isBetween: (value: number) => boolean): TargetFacts {
  let vary = false;
  let between = false;
  for (const { values, width } of parts) {
    for (const row of rows) {
      for (let i = 0; i < width; i++) {
        vary ||= values[row * width + i] !== values[rows[0] * width + i];
        between ||= isBetween(values[row * width + i]);
      }
    }
  }
  return { vary, between };
}

export interface EncodedTarget {
  readonly values: TrainingData["targets"];
  readonly units: TrainingData["target"];
  readonly description: Encoding["target"];
}

export function encodeTarget(
  { shape, classes, parts }: Target,
  data: DataSpec,
  targets: TargetKind,
  rows: number,
  train: Int32Array,
): EncodedTarget {
  const column = data.target;
  const width = size(shape);
  const bytes = new SharedArrayBuffer(4 * rows * width);
  if (classes !== null) {
    const values = new Int32Array(bytes);
    values.set(parts[0].values);
    return {
      values,
      units: { classes: [...classes], mean: 0, std: 1 },
      description: { column, task: "classification", classes, mean: null, std: null },
    };
  }
  const isScaled =
    data.preprocess.target === "standardize" || (data.preprocess.target === "auto" && targets === "value");
  const scales = parts.map((part) =>
    isScaled ? statisticsOf(part.values, train, { ...part, begin: 0, end: part.width }) : { mean: 0, std: 1 },
  );
  const values = new Float32Array(bytes);
  for (const [at, part] of parts.entries()) scaleInto(values, width, at, part, scales[at]);
  const task = targets === "probability" ? "classification" : "regression";
  const [means, stds] = [scales.map(({ mean }) => mean), scales.map(({ std }) => std)];
  const isOne = parts.length === 1;
  const units = isOne ? { mean: means[0], std: stds[0] } : { mean: means, std: stds };
  return { values, units: { classes: null, ...units }, description: { column, task, classes: null, ...units } };
}

/** Writes a part of each row, which begins at `first`. */
function scaleInto(
  target: Float32Array,
  width: number,
  first: number,
  part: Part,
  { mean, std }: { mean: number; std: number },
): void {
  for (let row = 0; row * width < target.length; row++) {
    for (let i = 0; i < part.width; i++) {
      const value = part.values[row * part.width + i];
      // A missing cell is in a row that was dropped.
      target[row * width + first + i] = Number.isNaN(value) ? 0 : (value - mean) / std;
    }
  }
}

async function classIndices(file: ViewedFile, index: number, classes: readonly string[]): Promise<ArrayLike<number>> {
  const { type } = file.content.columns[index];
  if (type !== "numeric" && type !== "tensor")
    return (await file.codes(index)).map((code) => (code === MISSING_CODE ? 0 : code));
  const position = new Map(classes.map((name, at) => [Number(name), at]));
  const numbers = type === "tensor" ? await file.elements(index) : await file.numbers(index);
  return Int32Array.from(numbers, (number) => position.get(number) ?? 0);
}
