/**
 * The `data` of a spec, and the result of encoding by it: the description of the model's inputs and
 * target.
 */

import type { TargetFacts } from "../../engine/metrics/metric.ts";
import type { Shape } from "../../engine/member/shape.ts";
import type { NamedValue } from "../../engine/plan/graph.ts";
import type { TrainingData } from "../../engine/training.ts";
import type { DeclaredType, Reading } from "../reading.ts";
import type { Vocabulary, VocabularyRule } from "../text/vocabulary.ts";

/** The `data` of a spec as far as it concerns the encoding, in the words of the wire. */
export interface DataSpec {
  /** The column to predict, or several columns of numbers. */
  readonly target: string | readonly string[];
  /** Null: the default (features.ts). */
  readonly features: readonly string[] | null;
  /** Columns that are not default features. */
  readonly exclude: readonly string[];
  /** Columns that are taken as another type than they are recorded as (view.ts). */
  readonly columns: Readonly<Record<string, DeclaredType>>;
  /** Only rows with these values are seen (where.ts); not given or null: all are. */
  readonly where?: Readonly<Record<string, string | number | boolean>> | null;
  /** The columns that tell the models of a set apart; not given or null: it is no set. */
  readonly partition_by?: string | readonly string[] | null;
  /** The shape that the features have for one row; null: as they are. */
  readonly shape: Shape | null;
  /** The column that says how much each row counts in the loss; null: each counts 1. */
  readonly weight: string | null;
  /** `balanced`: rows count so that each class of the target counts as much as the others. */
  readonly class_weight: "balanced" | null;
  /** How rows in order of time make samples; null: each row is one. */
  readonly window: WindowRule | null;
  /** How texts become tokens; null: there are none. */
  readonly text: TextRule | null;
  readonly validation: SplitRule | null;
  readonly test: SplitRule | null;
  readonly preprocess: Preprocess;
  /** Where the encoders come from; not given or null: they are fitted to the training rows. */
  readonly encoders?: "refit" | "own" | "inherit" | "shared" | { readonly job: string } | null;
}

export interface Preprocess {
  readonly numeric: Scale;
  readonly categorical: "one_hot";
  readonly missing: "error" | "mean" | "median" | "most_frequent" | "drop_row";
  readonly missing_target: "error" | "drop_row";
  readonly missing_indicator: boolean;
  readonly tensor: "auto" | TensorScale;
  readonly target: "auto" | "standardize" | "none";
}

export interface WindowRule {
  /** The column of numbers or dates by which the rows are put in order. */
  readonly order: string;
  /** The column that tells series apart; null: there is one. */
  readonly series: string | null;
  /** Rows of a sample. */
  readonly length: number;
  /** How many rows after the last one the target is. */
  readonly horizon: number;
  /** Rows from the beginning of a sample to that of the next. */
  readonly stride: number;
}

export interface TextRule {
  /** Tokens of a sample. */
  readonly context: number;
  /** Tokens from the beginning of a sample to that of the next; null: `context`. */
  readonly stride: number | null;
  readonly vocabulary: VocabularyRule;
}

/** Which rows validate, or test (split.ts). */
export type SplitRule =
  | { readonly fraction: number; readonly seed: number; readonly stratify?: boolean }
  | { readonly group: string; readonly fraction: number; readonly seed: number }
  | (Folds & { readonly fold?: number })
  | { readonly tail: number }
  | { readonly every: number }
  | { readonly column: string };

/** Equal shares of the rows, or of their groups. */
export type Folds = { readonly folds: number; readonly seed: number } & (
  | { readonly stratify?: boolean }
  | { readonly group: string }
);

/** One of several shares. A set has a model for each, and its rule does not say which. */
export type Fold = Folds & { readonly fold: number };

export type Scale = "standardize" | "min_max" | "none";

/** The inputs that a date becomes, all in UTC. */
export const dateParts = ["year", "month", "day_of_week", "hour", "elapsed_days"] as const;
export type DatePart = (typeof dateParts)[number];

/**
 * How a column's cells become inputs of the model. All statistics are taken in double from the
 * training rows' cells that are not missing.
 *
 * Numeric: one input, (x − mean) / std, (x − min) / (max − min) or x. A deviation of 0 is given as
 * 1. A range of 0 counts as 1. `fill` replaces a missing cell; it is null if no cell may be
 * missing.
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

/** One part of a date, which is a number like any other. */
export interface DateEncoder extends Omit<NumericEncoder, "type"> {
  readonly type: "date";
  readonly part: DatePart;
}

/**
 * Categorical and boolean: one input for each class that occurs in the training rows. It is 1 for
 * the cell's own class. For a class that does not occur, all are 0. A missing cell counts as
 * `fill`; if that is null, all are 0.
 *
 * In an input of integers it is one number: the place of the cell's class in `classes`, counted
 * from 1, or 0 where all would be 0.
 */
export interface CategoricalEncoder {
  readonly column: string;
  readonly type: "categorical";
  readonly classes: readonly string[];
  readonly fill: string | null;
}

/** One input beside the column's others: 1 if the cell is missing, else 0. */
export interface IndicatorEncoder {
  readonly column: string;
  readonly type: "missing_indicator";
}

export type TensorScale = "standardize" | "unit" | "none";

/**
 * An array is the input by itself. Standardised: (x − mean) / std, with those of x's index in the
 * first dimension of the input. Unit: x / max. Others are null.
 */
export interface TensorEncoder {
  readonly column: string;
  readonly type: "tensor";
  readonly scale: TensorScale;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  readonly max: number | null;
}

/** A text is the input by itself: its tokens. */
export interface TextEncoder {
  readonly column: string;
  readonly type: "text";
  readonly vocabulary: Vocabulary;
  /** The token before shorter texts. Models of language have none. */
  readonly padding?: number;
}

export type Encoder =
  | NumericEncoder
  | DateEncoder
  | CategoricalEncoder
  | IndicatorEncoder
  | TensorEncoder
  | TextEncoder;

/**
 * All that is needed to encode new rows like the training rows, and to read predictions. It is
 * stored with the model.
 */
export interface Encoding {
  /** What the model takes. Its first layer takes the first one. */
  readonly inputs: readonly InputEncoding[];
  readonly target: TargetEncoding;
  /** How the cells of the table were read. Models of earlier versions lack it. */
  readonly reading?: Reading;
}

/** An input of the model for one row, and the encoders whose numbers it has, side by side. */
export interface InputEncoding extends NamedValue {
  readonly encoders: readonly Encoder[];
}

/** The words of a column for no and for yes, in this order. */
export type Words = readonly string[];

export interface TargetEncoding {
  readonly column: DataSpec["target"];
  readonly task: "classification" | "regression";
  /** For a target that is a class: the classes in the order of the model's outputs. */
  readonly classes: readonly string[] | null;
  /** For a column of booleans whose probability is predicted. */
  readonly words?: Words;
  /**
   * For a target that is a value: prediction × std + mean is in the data's units. Several columns
   * have each its own.
   */
  readonly mean: number | readonly number[] | null;
  readonly std: number | readonly number[] | null;
}

/** The encoders that another job fitted, as a job takes them over. */
export interface Inherited {
  readonly inputs: readonly InputEncoding[];
  /** Null: the job has a target of its own, whose encoding is fitted to its training rows. */
  readonly target: TargetEncoding | null;
}

export interface Encoded {
  readonly data: TrainingData;
  readonly encoding: Encoding;
}

/** What the plan of a model needs to know of the data before they are encoded. */
export interface DataSizes {
  /** Rows that train, that validate, and that are kept for the test. */
  readonly train: number;
  readonly valid: number;
  readonly test: number;
  /** Numbers of a row that the model takes. */
  readonly width: number;
  readonly inputs: readonly NamedValue[];
  readonly targetShape: Shape;
  /** The bytes of the encoded inputs and targets; null: each row has its own. */
  readonly encodedBytes: number | null;
  /** Of a text: the names of the tokens, which are the classes of the target. */
  readonly tokens: readonly string[] | null;
  /** Of texts: the characters that have no token. */
  readonly unknown: readonly string[];
  /** For a target that is a class: the classes that no training row has. */
  readonly untrained: readonly string[];
  /** The features of which no training row has a value. */
  readonly empty: readonly string[];
  /**
   * Facts on the targets of the rows that train and of those that validate; null if they are not
   * known yet.
   */
  readonly trained: TargetFacts | null;
  readonly validated: TargetFacts | null;
}

/** Longest list of features that is written into a spec without one. */
const MAX_NAMES_BYTES = 4096;

/**
 * The features as a spec names them. Null if there are too many, because each job would repeat the
 * columns of its dataset.
 */
export function explicitFeatures(features: readonly string[]): string[] | null {
  return Buffer.byteLength(JSON.stringify(features)) <= MAX_NAMES_BYTES ? [...features] : null;
}
