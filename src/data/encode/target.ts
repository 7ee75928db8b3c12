/*
 * The target: a class or a number a row, several columns of numbers, or an array in each row, whose
 * elements are numbers or classes of positions.
 *
 * Columns are standardised each by itself, an array by one mean and one deviation.
 */
import { size, type Shape } from "../../engine/member/shape.ts";
import type { TargetFacts } from "../../engine/metrics/metric.ts";
import type { TargetKind, TrainingData } from "../../engine/training.ts";
import { booleanOf } from "../columns/cell-word.ts";
import { MISSING_CODE } from "../columns/column.ts";
import type { DataSizes, DataSpec, TargetEncoding, Words } from "./encoding.ts";
import { isArray, targetColumns } from "./features.ts";
import { statisticsOf } from "./statistics.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** The target before it is scaled. */
export interface Target {
  /** For one row. */
  readonly shape: Shape;
  readonly classes: readonly string[] | null;
  /** The words of a column of booleans that is read as 0 and 1. */
  readonly words?: Words;
  /** The columns it is made of, each with `width` indices of classes, or numbers, in a row. */
  readonly parts: readonly { readonly values: ArrayLike<number>; readonly width: number }[];
}

/** @param known the classes in the order of the model's outputs; null: all that the column has */
export async function readTarget(
  file: ViewedFile,
  data: DataSpec,
  targets: TargetKind,
  known: readonly string[] | null = null,
): Promise<Target> {
  const names = targetColumns(data);
  const index = file.index(names[0]);
  const column = file.content.columns[index];
  const shape = isArray(column) ? column.shape : typeof data.target === "string" ? [] : [names.length];
  if (targets === "class") {
    const classes = known ?? column.classes ?? [];
    return { shape, classes, parts: [{ values: await classIndices(file, index, classes), width: size(shape) }] };
  }
  if (isArray(column))
    return { shape, classes: null, parts: [{ values: await file.elements(index), width: size(shape) }] };
  const parts = [];
  for (const name of names) parts.push({ values: await file.numbers(file.index(name)), width: 1 });
  const words = column.type === "boolean" && names.length === 1 ? wordsOf(column.classes ?? []) : undefined;
  return { shape, classes: null, words, parts };
}

/** Undefined if the column has only one of them. */
function wordsOf(classes: readonly string[]): Words | undefined {
  const [no, yes] = [false, true].map((truth) => classes.find((name) => booleanOf(name)?.value === truth));
  return no === undefined || yes === undefined ? undefined : [no, yes];
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

/** Fits the encoding of the target to the training rows. */
export function fitTarget(
  { classes, words, parts }: Target,
  data: DataSpec,
  targets: TargetKind,
  train: Int32Array,
): TargetEncoding {
  const column = data.target;
  if (classes !== null) return { column, task: "classification", classes, mean: null, std: null };
  const isScaled =
    data.preprocess.target === "standardize" || (data.preprocess.target === "auto" && targets === "value");
  const scales = parts.map((part) =>
    isScaled ? statisticsOf(part.values, train, { ...part, begin: 0, end: part.width }) : { mean: 0, std: 1 },
  );
  const task = targets === "probability" ? "classification" : "regression";
  const [means, stds] = [scales.map(({ mean }) => mean), scales.map(({ std }) => std)];
  const units = parts.length === 1 ? { mean: means[0], std: stds[0] } : { mean: means, std: stds };
  const named = targets === "probability" && words !== undefined ? { words } : {};
  return { column, task, classes: null, ...named, ...units };
}

/** The targets of all rows as the engine takes them. */
export function applyTarget(
  { shape, classes, parts }: Target,
  encoding: TargetEncoding,
  rows: number,
): Pick<TrainingData, "targets" | "targetShape" | "target"> {
  const width = size(shape);
  const bytes = new SharedArrayBuffer(4 * rows * width);
  if (classes !== null) {
    const targets = new Int32Array(bytes);
    targets.set(parts[0].values);
    return { targets, targetShape: shape, target: { classes: [...classes], mean: 0, std: 1 } };
  }
  const [mean, std] = [encoding.mean!, encoding.std!];
  const [means, stds] = [[mean].flat(), [std].flat()];
  const targets = new Float32Array(bytes);
  for (const [at, part] of parts.entries()) scaleInto(targets, width, at, part, { mean: means[at], std: stds[at] });
  return { targets, targetShape: shape, target: { classes: null, mean, std } };
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
  const { type, classes: own } = file.content.columns[index];
  if (type !== "numeric" && type !== "tensor") {
    const position = (own ?? []).map((name) => classes.indexOf(name));
    return (await file.codes(index)).map((code) => (code === MISSING_CODE ? 0 : position[code]));
  }
  const position = new Map(classes.map((name, at) => [Number(name), at]));
  const numbers = type === "tensor" ? await file.elements(index) : await file.numbers(index);
  return Int32Array.from(numbers, (number) => position.get(number) ?? 0);
}
