/** Predictions over whole datasets, which are jobs whose result is a CSV. */
import { z } from "zod";
import { DatasetOrList } from "../schema/data-spec.ts";
import { Count, JobId, list, PredictionId, Run, Sha256, Time } from "./common.ts";
import { JobStatus } from "./job.ts";
import { Fold, SeedNumber, Which } from "./prediction.ts";

/** Rows of the dataset. */
export const MAX_DATASET_ROWS = 10_000_000;

const OutOfFold = z.enum(["out_of_fold"]);
const Unseen = z.enum(["error", "zeros"]);

export const BatchPredictionRequest = z
  .strictObject({
    dataset: DatasetOrList.optional().describe(
      "The dataset, of your own, or several whose columns stand side by side, row by row. It has every column that the model predicts from; other columns do not count.",
    ),
    split: OutOfFold.optional().describe(
      "In place of `dataset`, of a set with folds: its own dataset, each row of which is predicted by the model that did not train on it.",
    ),
    which: Which,
    fold: Fold,
    seed: SeedNumber,
    unseen: Unseen.optional().describe(
      "What becomes of a class that no training row has: a fault, or zeros. As the job's spec says (`data.unseen`) if it is left out.",
    ),
  })
  .refine(({ dataset, split }) => (dataset === undefined) !== (split === undefined), {
    error: "must have either dataset or split",
  })
  .meta({ id: "BatchPredictionRequest", description: "What to predict from." });
export type BatchPredictionRequest = z.infer<typeof BatchPredictionRequest>;

export const PredictionStatus = JobStatus.exclude(["pausing", "paused"]);

export const PredictionFailureCode = z.enum([
  "invalid_rows",
  "model_unavailable",
  "dataset_unavailable",
  "crash_loop",
  "thread_failed",
  "internal",
]);
export type PredictionFailureCode = z.infer<typeof PredictionFailureCode>;

export const PredictionResult = z
  .object({
    sha256: Sha256.describe("Of the CSV."),
    bytes: Count,
    rows: Count.describe("Lines after the first, which names the columns."),
  })
  .meta({ id: "PredictionResult", description: "The CSV of a prediction that succeeded." });
export type PredictionResult = z.infer<typeof PredictionResult>;

export const BatchPrediction = z
  .object({
    id: PredictionId,
    job_id: JobId.describe("The job whose model predicts."),
    dataset: DatasetOrList.describe("It may be deleted once the prediction has ended."),
    split: OutOfFold.nullable().describe("What of the set's own dataset is predicted."),
    which: Which.removeDefault(),
    fold: Fold.removeDefault().nullable().describe("Of a set: the fold whose models predict. Null: each row's own."),
    seed: SeedNumber.removeDefault().nullable().describe("Of a set: the seed whose models predict, by its number."),
    unseen: Unseen,
    weights_sha256: Sha256.describe("Of the weights that predict."),
    status: PredictionStatus,
    created_at: Time,
    started_at: Time.nullable(),
    finished_at: Time.nullable(),
    run: Run,
    progress: z.object({
      rows: Count.describe("Rows that are done. A run that takes over begins again."),
      total_rows: Count,
      progress: z.number().min(0).max(1).describe("rows / total_rows."),
      updated_at: Time.nullable(),
    }),
    result: PredictionResult.nullable(),
    error: z
      .object({ code: PredictionFailureCode, message: z.string(), suggestion: z.string().nullable() })
      .nullable()
      .describe("Why it failed."),
  })
  .meta({ id: "BatchPrediction", description: "A prediction over a dataset." });
export type BatchPrediction = z.infer<typeof BatchPrediction>;

export const BatchPredictionList = list("BatchPrediction", BatchPrediction);
