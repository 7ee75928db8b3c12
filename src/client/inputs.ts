/** What the client's methods take besides the documents of the wire. */
import type { z } from "zod";
import type { SchedulePreview } from "../contract/preview.ts";
import type { BatchPredictionRequest } from "../contract/wire/batch-prediction.ts";
import type { Dataset } from "../contract/wire/dataset.ts";
import type { PredictionRequest } from "../contract/wire/prediction.ts";

/** What to predict from; whatever has a default may be left out. */
export type PredictionInput = z.input<typeof PredictionRequest>;

/** Which model predicts: its last or best weights; of a set, the fold and the seed by number. */
export type ModelChoice = Pick<PredictionInput, "which" | "fold" | "seed">;

/** The dataset to predict from; whatever has a default may be left out. */
export type BatchInput = z.input<typeof BatchPredictionRequest>;

/** A schedule to preview; whatever has a default may be left out. */
export type PreviewInput = z.input<typeof SchedulePreview>;

/** The name of a dataset, and how to read it. The service finds out what is left out. */
export interface DatasetInput {
  readonly name?: string;
  readonly separator?: string;
  readonly decimal?: string;
  readonly encoding?: string;
  /** Whether the first line names the columns. */
  readonly header?: boolean;
  /** The text with which comment lines begin. They are left out. */
  readonly comment?: string;
  readonly missing_values?: readonly string[];
  /** The types of columns, by name. */
  readonly columns?: NonNullable<Dataset["reading"]>["columns"];
}

export interface PageQuery {
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export interface Fork {
  /** The checkpoint to start from. */
  readonly step: number | "final" | "best";
  /** What differs in the new job's spec: a merge patch (RFC 7396). */
  readonly overrides?: object;
  /**
   * Whether the new job continues with the optimizer's state. Default: yes, but never from `best`.
   */
  readonly optimizer?: boolean;
}
