/**
 * What a job asks of its dataset, and what became of it: the spec's `data`, and the description of the model's inputs
 * and target.
 */

import type { TrainingData } from "../engine/training.ts";

/** The `data` of a spec as far as it concerns the encoding, in the words of the wire. */
export interface DataSpec {
  readonly target: string;
  /** Null: every column but the target and the one that tells which rows validate. */
  readonly features: readonly string[] | null;
  readonly validation: Validation | null;
  readonly preprocess: {
    readonly numeric: Scale;
    readonly categorical: "one_hot";
    readonly missing: "error" | "mean" | "drop_row";
    readonly target: "auto" | "standardize" | "none";
  };
}

export type Validation =
  | { readonly fraction: number; readonly seed: number }
  | { readonly every: number }
  | { readonly column: string };

export type Scale = "standardize" | "min_max" | "none";

/**
 * How a column's cells become inputs of the model. All statistics are those of the training rows' cells that are not
 * empty, in double.
 *
 * Numeric, one input: (x − mean) / std, (x − min) / (max − min) or x. A deviation of 0 is given as 1; a range of 0
 * counts as 1. `fill` stands in for an empty cell; null if there may be none.
 */
export interface NumericEncoder {
  readonly column: string;
  readonly type: "numeric";
  readonly scale: Scale;
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly max: number;
  readonly fill: number | null;
}

/**
 * Categorical: an input for each class that occurs in the training rows, 1 for the cell's own; all are 0 for any other
 * class and for an empty cell.
 */
export interface CategoricalEncoder {
  readonly column: string;
  readonly type: "categorical";
  readonly classes: readonly string[];
}

export type Encoder = NumericEncoder | CategoricalEncoder;

/** All that is needed to encode new rows as the training rows were, and to read predictions. Stored with the model. */
export interface Encoding {
  /** In the order of the model's inputs. */
  readonly inputs: readonly Encoder[];
  readonly target: {
    readonly column: string;
    readonly task: "classification" | "regression";
    /** Of a target that is a class: the classes, in the order of the model's outputs. */
    readonly classes: readonly string[] | null;
    /** Of a target that is a value: prediction × std + mean is in the data's units. */
    readonly mean: number | null;
    readonly std: number | null;
  };
}

export interface Encoded {
  readonly data: TrainingData;
  readonly encoding: Encoding;
}

/** What a model needs to know of its data before they are encoded. */
export interface DataSizes {
  /** Rows that train, and rows that validate. */
  readonly train: number;
  readonly valid: number;
  /** Inputs of the model. */
  readonly width: number;
  /** Of a target that is a class: the classes that no training row has. */
  readonly untrained: readonly string[];
}

/** The names of the features, in the order of the model's inputs. */
export function featuresOf(
  columns: readonly { readonly name: string }[],
  { target, features, validation }: DataSpec,
): readonly string[] {
  if (features !== null) return features;
  const marker = validation !== null && "column" in validation ? validation.column : null;
  return columns.map(({ name }) => name).filter((name) => name !== target && name !== marker);
}

/** What names of features may take in a spec whose client left them out. */
const MAX_NAMES_BYTES = 4096;

/**
 * The features as a spec names them; null if they are too many: it would repeat its dataset, in
 * every job anew.
 */
export function writtenOut(features: readonly string[]): string[] | null {
  return Buffer.byteLength(JSON.stringify(features)) <= MAX_NAMES_BYTES ? [...features] : null;
}
