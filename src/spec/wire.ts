/**
 * What goes over the wire, as zod schemas: the types of the store and the API, the components of openapi.yaml.
 *
 * Responses are described here and not checked when sent, since a record written by an earlier version must stay readable; the tests check
 * every response they see. A schema and its type share one name.
 */
import { z } from "zod";
import { dateParts } from "../data/encode/encoding.ts";
import { decimalMarks, declaredTypes, encodings, separators } from "../data/reading.ts";
import { ErrorCode } from "./errors.ts";
import { EventType } from "./event-type.ts";
import { MAX_FAULTS } from "./faults.ts";
import { Spec } from "./spec.ts";
import { MAX_WARNINGS, Warning } from "./warnings.ts";

export { FIRST_READING } from "../data/reading.ts";

/** Crockford's base32 in lower case; the first character of a ULID is at most 7. */
const ulid = "[0-7][0-9a-hjkmnp-tv-z]{25}";
const example = "01k3w9d0c8v6m2q4r7t5x1y9za";

export const JobId = z
  .string()
  .regex(new RegExp(`^job_${ulid}$`), "must be a job's id")
  .describe("A job's id.")
  .meta({ examples: [`job_${example}`] });
export const DatasetId = z
  .string()
  .regex(new RegExp(`^ds_${ulid}$`), "must be a dataset's id")
  .describe("A dataset's id.")
  .meta({ examples: [`ds_${example}`] });

const Time = z.iso
  .datetime({ precision: 3 })
  .describe("RFC 3339, UTC, with milliseconds.")
  .meta({ examples: ["2026-11-22T09:30:00.000Z"] });
const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe("SHA-256 in hexadecimal.")
  .meta({ examples: ["2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"] });
export const Count = z.int().min(0);
const Run = Count.describe("Which attempt of the job on a worker this is, from 1; 0 before the first.");
const Metrics = z
  .record(z.string(), z.number().nullable())
  .describe("Metric values by name; null where the value is not finite.")
  .meta({ examples: [{ valid_loss: 0.0812, valid_accuracy: 0.975 }] });

export const Column = z
  .object({
    name: z.string(),
    type: z
      .enum(["numeric", "categorical", "date", "boolean"])
      .describe("Numeric if every cell that is not missing is a decimal number."),
    missing: Count.describe("Cells without a value."),
    min: z.number().nullable(),
    max: z.number().nullable(),
    mean: z.number().nullable(),
    classes: z
      .array(z.string())
      .nullable()
      .describe("The distinct values in ascending order; null if there are more than 1,000."),
    all_different: z
      .boolean()
      .describe("More than 20 values, all texts or integers, of which more than 95 % differ: no default feature."),
    reason: z
      .object({ line: Count, cell: z.string(), message: z.string() })
      .nullable()
      .describe("The cell that made a column categorical of which other cells are numbers or dates."),
  })
  .meta({
    id: "Column",
    description:
      "A column of a dataset; `min`, `max` and `mean` are null if it is categorical or boolean. Those of dates are milliseconds since 1970-01-01T00:00:00Z.",
  });
export type Column = z.infer<typeof Column>;

const ReadingSchema = z
  .object({
    version: Count.describe("Of the reader; 1: before readings were recorded."),
    separator: z.enum(separators),
    decimal: z.enum(decimalMarks),
    decimal_proved: z
      .boolean()
      .describe("Whether it was declared, or is proved by a cell: only then the other mark groups digits by threes."),
    encoding: z.enum(encodings),
    header: z.boolean().describe("Whether the first line names the columns."),
    comment: z.string().nullable().describe("What begins lines that are left out."),
    missing_values: z.array(z.string()).nullable().describe("What is missing besides empty cells; null: the default."),
    columns: z.record(z.string(), z.enum(declaredTypes)).describe("The types that were declared."),
  })
  .meta({ id: "Reading", description: "How the bytes were read: what was asked for, and what was detected." });

export const Dataset = z
  .object({
    id: DatasetId,
    name: z.string().nullable(),
    format: z.literal("csv"),
    sha256: Sha256,
    bytes: Count,
    reading: ReadingSchema,
    columns_sha256: Sha256.nullable().describe(
      "SHA-256 of the columns that this reading made of the bytes; null if an earlier version recorded the dataset.",
    ),
    rows: Count,
    created_at: Time,
    columns: z.array(Column),
  })
  .meta({ id: "Dataset", description: "An uploaded table, known by its content." });
export type Dataset = z.infer<typeof Dataset>;

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

export const Series = z
  .object({ steps: z.array(Count), values: z.array(z.number().nullable()) })
  .meta({ id: "Series", description: "Values of one metric beside the steps they belong to, ascending." });
export type Series = z.infer<typeof Series>;

export const MetricSeries = z
  .object({
    job_id: JobId,
    series: z.record(z.string(), Series).meta({ examples: [{ train_loss: { steps: [1, 2], values: [2.31, 2.17] } }] }),
  })
  .meta({ id: "MetricSeries", description: "The curves of a job." });
export type MetricSeries = z.infer<typeof MetricSeries>;

export const ScheduleCurve = z
  .object({
    steps: z.array(Count).describe("Steps, from 0, ascending."),
    learning_rate: z.array(z.number()).describe("The rate of each of them."),
    momentum: z
      .array(z.number().nullable())
      .nullable()
      .describe("Likewise the momentum (of Adam and its kin: beta1), if it is cycled."),
  })
  .meta({ id: "ScheduleCurve", description: "What a schedule does, step by step." });
export type ScheduleCurve = z.infer<typeof ScheduleCurve>;

export const Event = z
  .object({
    id: z.string().describe("Ascending within the job."),
    run: Run,
    step: Count.nullable(),
    type: EventType,
    message: z.string(),
    data: z.record(z.string(), z.unknown()).nullable().describe("Details, by the event's type."),
    created_at: Time,
  })
  .meta({ id: "Event", description: "Something that happened to a job. Events are never withdrawn." });
export type Event = z.infer<typeof Event>;

export const Checkpoint = z
  .object({
    step: Count,
    run: Run,
    bytes: Count,
    sha256: Sha256,
    created_at: Time,
    kinds: z.array(z.enum(["start", "periodic", "final", "shutdown"])),
    metrics: Metrics,
    arithmetic_version: Count.nullable().describe(
      "The one that computed its last step; null in checkpoints that an earlier version of the service wrote.",
    ),
  })
  .meta({
    id: "Checkpoint",
    description: "A committed state of a job: weights, moment estimates and everything else needed to go on.",
  });
export type Checkpoint = z.infer<typeof Checkpoint>;

export const Batches = z
  .object({
    job_id: JobId,
    epoch: Count.describe("From 0."),
    total: Count.describe("How many batches the epoch has."),
    data: z.array(
      z.object({
        batch: Count.describe("Its number in the epoch, from 0."),
        step: Count.describe("The step that it is a part of, as metrics count: from 1."),
        rows: z.array(Count).describe("Rows of the dataset, from 0 without the header, in the batch's order."),
      }),
    ),
    has_more: z.boolean(),
    next: z.string().nullable().describe("The `after` of the next page."),
  })
  .meta({ id: "Batches", description: "Which rows make the batches of an epoch." });
export type Batches = z.infer<typeof Batches>;

const numbers = {
  scale: z
    .enum(["standardize", "min_max", "none"])
    .describe("One input: (x − mean) / std, or (x − min) / (max − min), or x. A range of 0 counts as 1."),
  mean: z.number(),
  std: z.number(),
  min: z.number(),
  max: z.number(),
  fill: z.number().nullable().describe("Stands in for a missing cell; null if there may be none."),
};

const Encoder = z
  .discriminatedUnion("type", [
    z.object({ column: z.string(), type: z.literal("numeric"), ...numbers }),
    z.object({
      column: z.string(),
      type: z.literal("date"),
      part: z
        .enum(dateParts)
        .describe(
          "x: what of the date, in UTC, becomes this input. Months from 1; days of the week from 0 for Monday; `elapsed_days` since 1970-01-01, with their fraction.",
        ),
      ...numbers,
    }),
    z.object({
      column: z.string(),
      type: z.literal("categorical"),
      classes: z.array(z.string()).describe("An input for each: 1 for the cell's own, 0 for the others."),
      fill: z
        .string()
        .nullable()
        .describe(
          "The class that a missing cell counts as; null: it has none. Models of earlier versions of the service lack it.",
        ),
    }),
    z.object({
      column: z.string(),
      type: z.literal("missing_indicator").describe("One input: 1 if the cell is missing, else 0."),
    }),
  ])
  .meta({
    id: "Encoder",
    description: "How a column becomes inputs of the model, by statistics of the training rows.",
  });

export const ModelDescription = z
  .object({
    job_id: JobId,
    weights_sha256: Sha256,
    spec_sha256: Sha256,
    arithmetic_version: Count,
    arithmetic_changes: Job.shape.arithmetic_changes,
    layers: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        parameters: z.record(z.string(), z.array(Count)).meta({ examples: [{ weight: [64, 64], bias: [64] }] }),
      }),
    ),
    inputs: z.array(Encoder).describe("The encoders of the features, in the order of the model's inputs."),
    target: z.object({
      column: z.string(),
      task: z.enum(["classification", "regression"]),
      classes: z.array(z.string()).nullable().describe("The classes in the order of the model's outputs."),
      mean: z.number().nullable().describe("Prediction × std + mean is in the data's units."),
      std: z.number().nullable(),
    }),
    metrics: Metrics,
  })
  .meta({ id: "ModelDescription", description: "All that is needed to use a trained model's weights." });
export type ModelDescription = z.infer<typeof ModelDescription>;

/** A page of a list. */
export interface Page<T> {
  data: T[];
  has_more: boolean;
  next: string | null;
}

/** The envelope of a list of `item`, as the component `<name>List`. */
export function list<T extends z.ZodType>(name: string, item: T) {
  return z
    .object({
      data: z.array(item),
      has_more: z.boolean(),
      next: z.string().nullable().describe("Give it as `after` to get the next page."),
    })
    .meta({ id: `${name}List`, description: `A page of a list.` });
}

export const DatasetList = list("Dataset", Dataset);
export const JobList = list("Job", JobSummary);
export const EventList = list("Event", Event);
export const CheckpointList = list("Checkpoint", Checkpoint);

export const ProblemDocument = z
  .object({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: ErrorCode,
    request_id: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), message: z.string() }))
      .max(MAX_FAULTS)
      .optional()
      .describe(
        "The faults found, at most 100; `detail` says how many more there are. `pointer` is an RFC 6901 pointer into the body, or `?name` for a query parameter.",
      ),
    current_status: JobStatus.optional().describe("With `wrong_status`."),
    line: z.int().optional().describe("With `invalid_dataset`: the line of the file, from 1."),
  })
  .meta({
    id: "Problem",
    description: "A problem document (RFC 9457).",
    examples: [
      {
        type: "about:blank",
        title: "Invalid spec",
        status: 422,
        detail: "The spec has 1 fault: /training/epochs is required.",
        code: "invalid_spec",
        request_id: "req-1",
        errors: [{ pointer: "/training/epochs", message: "is required" }],
      },
    ],
  });
export type ProblemDocument = z.infer<typeof ProblemDocument>;

export const Health = z
  .object({
    status: z
      .enum(["ok", "degraded", "unavailable"])
      .describe("`degraded`: it serves, but not everything; `checks` says what it lacks."),
    checks: z.record(z.string(), z.string()).meta({ examples: [{ redis: "ok" }] }),
    retrying: z
      .array(
        z.object({
          loop: z.string().meta({ examples: ["record"] }),
          count: Count.describe("How many loops of that name fail now."),
          failures: Count.describe("How often they failed in a row, together."),
          seconds: Count.describe("For how long the one has failed that fails the longest."),
        }),
      )
      .describe("What fails in this process at the moment and is tried again; the log says why."),
  })
  .meta({ id: "Health", description: "The health of this process." });
export type Health = z.infer<typeof Health>;

const WorkerStatus = z
  .object({
    id: z.string(),
    host: z.string(),
    pid: z.int(),
    started_at: Time,
    draining: z.boolean().describe("It gives back what it runs, and takes nothing more."),
    threads: z.object({ busy: Count, total: Count }),
    jobs: z.object({
      running: Count,
      max: Count,
      ids: z.array(JobId).describe("Those of them that are yours."),
    }),
  })
  .meta({ id: "WorkerStatus", description: "A worker that was heard of within the last ten seconds." });

export const ServiceStatus = z
  .object({
    workers: z.array(WorkerStatus),
    jobs: z
      .object(Object.fromEntries(JobStatus.options.map((status) => [status, Count])) as Record<JobStatus, typeof Count>)
      .describe("How many jobs, of all owners, have which status.")
      .meta({
        examples: [{ ...Object.fromEntries(JobStatus.options.map((status) => [status, 0])), queued: 3, running: 2 }],
      }),
    queue: z
      .object({
        waiting: Count,
        active: Count,
        delayed: Count,
        oldest_seconds: z.number().nullable().describe("For how long the job has waited that waits longest."),
      })
      .describe("Deliveries of jobs to workers."),
    store: z
      .object({
        used_bytes: Count.describe("What Redis holds."),
        reserved_bytes: Count.describe("What jobs that have not ended may yet need beside it."),
        limit_bytes: Count.nullable().describe("How much both may be; null: Redis has no limit."),
        full: z.boolean().describe("Whether what was refused for want of room would be refused again."),
      })
      .describe("How full the store is."),
  })
  .meta({ id: "ServiceStatus", description: "The service as a whole." });
export type ServiceStatus = z.infer<typeof ServiceStatus>;
