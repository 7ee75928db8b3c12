/** The models of a set. */
import { z } from "zod";
import { Count, JobId, Metrics, Sha256, list } from "./common.ts";
import { JobResult } from "./job.ts";
import { ModelDescription } from "./model.ts";

const ModelError = z
  .object({
    code: z
      .string()
      .describe(
        "`too_few_rows`: its key has fewer rows than `min_rows`. `invalid_spec`: its rows do not fit the spec. `diverged`: it diverged.",
      ),
    message: z.string(),
    suggestion: z.string().nullable(),
    step: Count.nullable(),
  })
  .meta({ id: "SetModelError", description: "Why a model of a set was skipped, or failed." });

export const SetModel = z
  .object({
    number: Count.describe("Its number in the set: by key, then by fold, then by seed."),
    key: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .describe("Its values in the columns of `partition_by`, as `data.where` takes them, its fold and its seed."),
    status: z.enum(["succeeded", "failed", "skipped"]),
    rows: Count.describe("Rows of its key."),
    steps: Count.nullable(),
    metrics: Metrics,
    weights_sha256: Sha256.nullable().describe("SHA-256 of its model file, which is that of the plain job."),
    error: ModelError.nullable(),
  })
  .meta({ id: "SetModel", description: "A model of a set that has ended." });
export type SetModel = z.infer<typeof SetModel>;

export const SetModelList = list("SetModel", SetModel);

export const SetModelDetails = SetModel.extend({
  epochs: Count.nullable(),
  stop_reason: JobResult.shape.stop_reason.nullable(),
  best: JobResult.shape.best,
  description: ModelDescription.omit({
    job_id: true,
    arithmetic_version: true,
    arithmetic_changes: true,
    metrics: true,
  })
    .omit({ spec_sha256: true, weights_sha256: true })
    .nullable()
    .describe("How to use the model. Null unless it succeeded."),
  job_id: JobId,
}).meta({ id: "SetModelDetails", description: "A model of a set, and how to use it." });
export type SetModelDetails = z.infer<typeof SetModelDetails>;
