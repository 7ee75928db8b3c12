/** Jobs: how far one has come, what came of it, and why one failed. */
import { z } from "zod";
import type { EventType } from "../schema/event-type.ts";
import { Spec } from "../schema/spec.ts";
import { MAX_WARNINGS, Warning } from "../resolve/warnings.ts";
import { Count, JobId, Metrics, Run, Sha256, Time, list } from "./common.ts";

export const JobStatus = z
  .enum(["queued", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled"])
  .meta({ id: "JobStatus", description: "Where a job stands. `succeeded`, `failed` and `cancelled` are final." });
export type JobStatus = z.infer<typeof JobStatus>;

/** Whether a job of this status has ended, or an event of this type says so. */
export function isFinal(what: JobStatus | EventType): boolean {
  return what === "succeeded" || what === "failed" || what === "cancelled";
}

export const Progress = z
  .object({
    job_id: JobId,
    status: JobStatus,
    run: Run,
    step: Count.describe(
      "Optimizer steps finished. May go back after a take-over, never below `last_checkpoint_step`, and by a rewind after a divergence.",
    ),
    total_steps: Count.describe("epochs × ceil(train_rows / batch_size / gradient_accumulation_steps)."),
    epoch: Count.describe("Epochs finished."),
    total_epochs: Count,
    progress: z.number().min(0).max(1).describe("step / total_steps, and 1 once succeeded."),
    train_loss: z.number().nullable().describe("Mean over the last log interval."),
    valid_loss: z.number().nullable(),
    metrics: Metrics.describe("The latest evaluation."),
    learning_rate: z.number().nullable(),
    samples_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    last_checkpoint_step: Count.nullable(),
    updated_at: Time.nullable(),
  })
  .meta({ id: "Progress", description: "How far a job has come." });
export type Progress = z.infer<typeof Progress>;

export const Change = z
  .object({
    step: Count.describe("Where training was taken back to, and from which step on the rate is another."),
    detected_step: Count.describe("When the divergence showed."),
    lr_factor: z.number().describe("What the rate is multiplied with, beside the factors of the changes before."),
  })
  .meta({ id: "Change", description: "A rewind: what was changed of a job while it ran, as its spec says." });
export type Change = z.infer<typeof Change>;

export const JobResult = z
  .object({
    weights_sha256: Sha256.describe("SHA-256 of the body of `GET …/model`."),
    steps: Count,
    epochs: Count,
    stop_reason: z
      .enum(["completed", "early_stopping", "diagnosed"])
      .describe("`diagnosed`: a detector whose policy is `stop` found something."),
    metrics: Metrics.describe(
      "The last evaluation, that of the final weights; and, as `test_loss` and so on, that of the rows of `data.test`.",
    ),
    best: z
      .object({ step: Count, metric: z.string(), value: z.number().nullable() })
      .nullable()
      .describe("The best evaluation; null unless `checkpoint.keep_best` is set."),
    changes: z.array(Change).describe("The rewinds after divergences, in the order in which they were made."),
  })
  .meta({ id: "JobResult", description: "What came of a job that succeeded." });
export type JobResult = z.infer<typeof JobResult>;

export const FailureCode = z.enum([
  "diverged",
  "crash_loop",
  "dataset_unavailable",
  "thread_failed",
  "checkpoint_unreadable",
  "internal",
]);
export type FailureCode = z.infer<typeof FailureCode>;

export const JobError = z
  .object({
    code: FailureCode,
    message: z.string(),
    suggestion: z.string().nullable().describe("What is likely to help."),
    step: Count.nullable(),
  })
  .meta({ id: "JobError", description: "Why a job failed." });
export type JobError = z.infer<typeof JobError>;

const Warnings = z
  .array(Warning)
  .max(MAX_WARNINGS)
  .describe(`What to know of the spec although it is accepted; at most ${MAX_WARNINGS}.`);

export const Job = z
  .object({
    id: JobId,
    name: z.string().nullable(),
    status: JobStatus,
    spec: Spec.describe("The spec with every default filled in."),
    warnings: Warnings,
    spec_sha256: Sha256.describe(
      "SHA-256 of what in the spec can change a number, as JSON with sorted keys: equal for equal results, whatever the name, the checkpoints or the threads, and whatever options later versions add.",
    ),
    metadata: z.record(z.string(), z.string()),
    created_at: Time,
    started_at: Time.nullable(),
    finished_at: Time.nullable(),
    run: Run,
    arithmetic_version: Count.describe(
      "The one the job began under. Results are equal to the last bit under an equal arithmetic version.",
    ),
    arithmetic_changes: z
      .array(z.object({ step: Count, from: Count, to: Count }))
      .describe("Where the job went on under another arithmetic version: the steps after `step` are computed by `to`."),
    parent: z
      .object({ job_id: JobId, step: Count })
      .nullable()
      .describe("The job it was forked from, which may be gone, and the step; null if it is no fork."),
    progress: Progress,
    result: JobResult.nullable(),
    error: JobError.nullable(),
  })
  .meta({ id: "Job", description: "A training job." });
export type Job = z.infer<typeof Job>;

export const JobSummary = Job.omit({ spec: true, warnings: true }).meta({
  id: "JobSummary",
  description: "A job as lists show it.",
});
export type JobSummary = z.infer<typeof JobSummary>;

export const ValidatedSpec = z
  .object({
    valid: z.literal(true),
    spec: Spec.describe("The spec with every default filled in."),
    parameters: Count.describe("How many numbers the model learns."),
    memory_bytes: Count.describe("What the job would take while it runs."),
    state_bytes: Count.describe("What a checkpoint of it would take, within a few per cent."),
    total_steps: Count,
    warnings: Warnings,
  })
  .meta({ id: "ValidatedSpec", description: "What a job would be." });
export type ValidatedSpec = z.infer<typeof ValidatedSpec>;

export const JobList = list("Job", JobSummary);
