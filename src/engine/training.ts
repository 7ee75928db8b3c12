import type { Value } from "./layers/layer.ts";
import { size, type Shape } from "./member/shape.ts";

/** An input of the model: for every row an array of one shape, row-major. */
export interface InputArray extends Value {
  readonly name: string;
  readonly values: Float32Array | Int32Array;
  /** Elements from one row to the next, where rows overlap. By default they do not. */
  readonly step?: number;
}

/**
 * What the engine trains on: a dataset as numbers. Everything is in SharedArrayBuffers, so that the
 * threads of all crews of a process read one copy.
 */
export interface TrainingData {
  /** The model's first layer takes the first one. */
  readonly inputs: readonly InputArray[];
  /** For each row the indices of its classes, or its (scaled) values: an array of `targetShape`. */
  readonly targets: Int32Array | Float32Array;
  readonly targetShape: Shape;
  /** Elements of the targets from one row to the next, where rows overlap. */
  readonly targetStep?: number;
  /** How much each row counts in the loss and in all metrics; by default each counts 1. */
  readonly weights?: Float64Array;
  /** How much each row counts in the loss, where that is not what it counts in metrics. */
  readonly lossWeights?: Float64Array;
  /** How much each class counts in a loss that weighs classes. */
  readonly classWeights?: readonly number[];
  /** Row numbers, ascending. Rows in no list are not used. */
  readonly trainRows: Int32Array;
  /** Empty if there is no validation. */
  readonly validRows: Int32Array;
  /** Rows for the test at the end. Empty if there is no test. */
  readonly testRows: Int32Array;
  /**
   * Turns predictions back into the data's terms: the classes in order, or value × std + mean (mean
   * 0 and std 1 if not scaled). Several columns have each its own.
   */
  readonly target: {
    readonly classes: string[] | null;
    readonly mean: number | readonly number[];
    readonly std: number | readonly number[];
  };
}

/** Elements of the targets from one row to the next. */
export function targetStep({ targetStep, targetShape }: Pick<TrainingData, "targetStep" | "targetShape">): number {
  return targetStep ?? size(targetShape);
}

/** How much each row counts in the loss; undefined: each counts 1. */
export function lossWeightsOf({ weights, lossWeights }: TrainingData): Float64Array | undefined {
  return lossWeights ?? weights;
}

/** Bytes of all the buffers. */
export function dataBytes({ inputs, targets, trainRows, validRows, testRows, ...data }: TrainingData): number {
  const weights = (data.weights?.byteLength ?? 0) + (data.lossWeights?.byteLength ?? 0);
  const rows = trainRows.byteLength + validRows.byteLength + testRows.byteLength + weights;
  return inputs.reduce((bytes, { values }) => bytes + values.byteLength, targets.byteLength + rows);
}

/** Bytes of the encoded inputs and targets of `rows` rows. */
export function encodedBytes(rows: number, inputs: readonly Value[], target: Shape): number {
  return rows * inputs.reduce((elements, { shape }) => elements + size(shape), size(target)) * 4;
}

/** What a loss compares predictions with. All but classes are numbers. */
export const targetKinds = {
  class: "one class per row",
  value: "a number in the units of the prediction, which may be standardised",
  probability: "yes or no, or a number between 0 and 1",
  count: "a number that is not negative",
  sign: "−1 or 1",
  number: "any number, taken as it is",
} as const;

export type TargetKind = keyof typeof targetKinds;
