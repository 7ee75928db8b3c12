/** Jobs: their progress, their results, and why they failed. */
import { z } from "zod";
import { components, type Component } from "../../engine/plan/memory.ts";
import type { EventType } from "../schema/event-type.ts";
import { FAILURE_CODES, JOB_STATUSES } from "../facts.ts";
import { Spec } from "../schema/spec.ts";
import { MAX_WARNINGS, Warning } from "../resolve/warnings.ts";
import { Count, JobId, Metrics, Run, Sha256, Time, list } from "./common.ts";

export const JobStatus = z
  .enum(JOB_STATUSES)
  .meta({ id: "JobStatus", description: "The status of a job. `succeeded`, `failed` and `cancelled` are final." });
export type JobStatus = z.infer<typeof JobStatus>;

/** Whether a job of this status, or after an event of this type, has ended. */
export function isFinal(what: JobStatus | EventType): boolean {
  return what === "succeeded" || what === "failed" || what === "cancelled";
}

export const Progress = z
  .object({
    job_id: JobId,
    status: JobStatus,
    run: Run,
    step: Count.describe(
      "Number of finished optimizer steps, or of the models of a set that have ended. It may go back after a take-over, but not below `last_checkpoint_step`, and when a divergence is rewound.",
    ),
    total_steps: Count.describe(
      "epochs × ceil(train_rows / batch_size / gradient_accumulation_steps); of a set the number of its models.",
    ),
    epoch: Count.describe("Epochs finished."),
    total_epochs: Count,
    progress: z.number().min(0).max(1).describe("step / total_steps; 1 once the job has succeeded."),
    train_loss: z.number().nullable().describe("Mean over the last log interval."),
    valid_loss: z.number().nullable(),
    metrics: Metrics.describe("The latest evaluation; of a set the means over the models that succeeded so far."),
    learning_rate: z.number().nullable(),
    samples_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    last_checkpoint_step: Count.nullable(),
    updated_at: Time.nullable(),
  })
  .meta({ id: "Progress", description: "The progress of a job." });
export type Progress = z.infer<typeof Progress>;

export const Change = z
  .object({
    step: Count.describe("The step that training was taken back to. The new rate holds from this step on."),
    detected_step: Count.describe("The step at which the divergence was found."),
    lr_factor: z.number().describe("Factor of the rate, in addition to the factors of earlier changes."),
  })
  .meta({ id: "Change", description: "A rewind: how a job was changed while it ran, as its spec says." });
export type Change = z.infer<typeof Change>;

const Spread = z.object({
  mean: z.number(),
  std: z.number().describe("The deviation of these values: the mean is taken over all of them."),
  min: z.number(),
  max: z.number(),
});
export type Spread = z.infer<typeof Spread>;

export const SetCounts = z
  .object({
    total: Count,
    ended: Count,
    succeeded: Count,
    failed: Count.describe("Models that diverged."),
    skipped: Count.describe("Models without enough rows (`min_rows`), or whose rows do not fit the spec."),
    per_second: z
      .number()
      .nullable()
      .describe("How many models have ended a second since the set last began to run. Null unless it runs."),
    distribution: z
      .record(z.string(), Spread)
      .describe("How each metric is spread over the models that succeeded so far. `result.distribution` has more."),
  })
  .meta({ id: "SetCounts", description: "How many models of a set have ended, and how." });
export type SetCounts = z.infer<typeof SetCounts>;

const Rate = z.number().nullable();

export const LrRangeTest = z
  .object({
    suggested_lr: Rate.describe(
      "√(falling_lr · rising_lr)/5, with two digits. Null if the curve does not tell: `message` says why.",
    ),
    falling_lr: Rate.describe("The rate at which half of the fall of the smoothed loss is reached."),
    lowest_lr: Rate.describe("The rate at which the smoothed loss is lowest."),
    rising_lr: Rate.describe("The rate at which half of the fall is lost again, or the loss blew up."),
    message: z.string(),
    curve: z
      .array(z.object({ lr: z.number(), loss: z.number(), smoothed: z.number() }))
      .describe("The mean loss after steps at these rates, and the smooth curve through it: at most 100 points."),
  })
  .meta({ id: "LrRangeTest", description: "What a job with the schedule `lr_range_test` found." });

export type LrRangeTest = z.infer<typeof LrRangeTest>;

export const JobResult = z
  .object({
    weights_sha256: Sha256.describe("SHA-256 of the body of `GET …/model`."),
    steps: Count,
    epochs: Count,
    stop_reason: z
      .enum(["completed", "early_stopping", "pruned", "diagnosed"])
      .describe(
        "`pruned`: it was worse at a rung of `training.pruning` than the threshold. `diagnosed`: a detector whose policy is `stop` found something.",
      ),
    metrics: Metrics.describe(
      "The last evaluation, which is that of the final weights. That of the rows of `data.test` is `test_loss` and so on.",
    ),
    best: z
      .object({ step: Count, metric: z.string(), value: z.number().nullable() })
      .nullable()
      .describe("The best evaluation; null unless `checkpoint.keep_best` is set."),
    changes: z.array(Change).describe("The rewinds after divergences, in order."),
    lr_range_test: LrRangeTest.optional().describe("Of a job with that schedule."),
    distribution: z
      .record(z.string(), Spread.extend({ p10: z.number(), p50: z.number(), p90: z.number() }))
      .optional()
      .describe("Of a set of models: how each metric is spread over the models; `metrics` has the means."),
  })
  .meta({ id: "JobResult", description: "The result of a job that succeeded." });
export type JobResult = z.infer<typeof JobResult>;

export const FailureCode = z.enum(FAILURE_CODES);
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
  .describe(`What to know about the spec although it is accepted. At most ${MAX_WARNINGS}.`);

export const Job = z
  .object({
    id: JobId,
    name: z.string().nullable(),
    status: JobStatus,
    spec: Spec.describe("The spec with every default filled in."),
    warnings: Warnings,
    spec_sha256: Sha256.describe(
      "SHA-256 of the parts of the spec that can change a number, as JSON with sorted keys. It does not depend on the name, the checkpoints or the threads, nor on options that later versions add.",
    ),
    metadata: z.record(z.string(), z.string()),
    created_at: Time,
    started_at: Time.nullable(),
    finished_at: Time.nullable(),
    run: Run,
    arithmetic_version: Count.describe(
      "The arithmetic version that the job began with. Results are the same to the last bit under the same arithmetic version.",
    ),
    arithmetic_changes: z
      .array(z.object({ step: Count, from: Count, to: Count }))
      .describe("Changes of the arithmetic version while the job ran. Steps after `step` are computed by `to`."),
    parent: z
      .object({ job_id: JobId, step: Count })
      .nullable()
      .describe("The job it was forked from, which may be deleted by now, and the step. Null if it is not a fork."),
    models: SetCounts.nullable().describe("Of a set of models: how they have ended. Null for other jobs."),
    progress: Progress,
    result: JobResult.nullable(),
    error: JobError.nullable(),
  })
  .meta({ id: "Job", description: "A training job." });
export type Job = z.infer<typeof Job>;

export const JobSummary = Job.omit({ spec: true, warnings: true }).meta({
  id: "JobSummary",
  description: "A job in a list.",
});
export type JobSummary = z.infer<typeof JobSummary>;

const byComponent = Object.fromEntries(
  Object.entries(components).map(([component, meaning]) => [component, Count.describe(meaning)]),
) as Record<Component, typeof Count>;

export const ValidatedSpec = z
  .object({
    valid: z.literal(true),
    spec: Spec.describe("The spec with every default filled in."),
    parameters: Count.describe("Number of values that the model learns."),
    memory_bytes: Count.describe("Bytes of memory that the job would take while it runs."),
    memory: z.object(byComponent).describe("The bytes of memory by what they are for. They add up to `memory_bytes`."),
    state_bytes: Count.describe("Bytes that a checkpoint of it would take, within a few per cent."),
    total_steps: Count,
    warnings: Warnings,
  })
  .meta({ id: "ValidatedSpec", description: "The job that the spec would make." });
export type ValidatedSpec = z.infer<typeof ValidatedSpec>;

export const JobList = list("Job", JobSummary);
