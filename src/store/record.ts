/**
 * A job's record as Redis holds it: a hash whose fields are numbers, words or JSON texts, times in
 * milliseconds since 1970.
 *
 * - `name`, `spec`, `spec_sha256`, `metadata`, `arithmetic_version`, `created_at`, `started_at`,
 *   `finished_at`, `result`, `error`: as the API shows them
 * - `arithmetic_changes`: as the API shows it; absent if there are none
 * - `warnings`: as the API shows it; absent if there are none
 * - `parent`: as the API shows it; absent unless the job is a fork
 * - `origin`: JSON: an Origin. It goes when the job has two checkpoints of its own. If the job
 *   keeps only one, or may be rewound, it goes when the job ends or is rewound to a step before it
 * - `init`: 1 if the job begins with initial weights; else absent
 * - `encoders`: JSON: the Inherited encoders; absent if the job fits its own
 * - `total_steps`, `total_epochs`, `state_bytes`, `memory_bytes`: sizes, computed when the job was
 *   posted; the last is absent from older records
 * - `work_ms`: milliseconds that one thread would train, estimated; absent from older records
 * - `status`: the scripts in lua/ change it
 * - `dataset`, `weights`, `idempotency`: what the job refers to: the ids of datasets, separated
 *   by spaces, and of uploaded weights, the SHA-256 of an idempotency key
 * - `spec_version`: the form of the spec (stored-spec.ts); absent in records of older versions
 * - `claim`: the token of the claim that has the queued job (claim.ts); absent if none has
 * - `yields`: 1 while its owner's other jobs go first, because it lacked something
 * - `trace`: JSON: the trace context of the request that posted it; absent without traces
 * - `counted_bytes`: how many bytes of its owner's limit it takes
 * - `reserved`, `spent`: how many bytes it was promised, and how many of them it has (room.ts);
 *   absent after its end
 * - `keep_after_end`: how many checkpoints are kept after the end; if absent, one
 * - `keep_start`: the step whose checkpoint is kept as long as the job; absent if there is none
 * - `event_limits`, `message_bytes`, `keep_most`: JSON: type → how many events of that type a run
 *   may write; the bytes of a message to its webhook; how many checkpoints are kept at most; all
 *   absent after its end
 * - `told`: type, how many events of that type this run has written, …; `bytes`: what they take;
 *   absent after its end
 * - `priority`: as in its spec
 * - `run`, `token`, `lease_expires_at`: the lease; the job is free if `lease_expires_at` is absent
 *   or past
 * - `crashes`, `crash_step`: how many runs died in a row, and at which checkpoint
 * - `packed_events`: how many events come before the first that were packed, and how many more
 *   events than elements the list of events has (events.ts); absent if none were packed
 * - `checkpoint_step`: the step of the last committed checkpoint
 * - `changes`: JSON: RecordedChange[], all rewinds so far; absent if this job made none
 * - `uploads`, `reported`: how many uploads the job made; how many reports this run made
 * - `progress`, `updated_at`: the last reported progress, and when it was reported
 * - `webhook`: JSON: types of the events that go to the spec's webhook; absent if there is no
 *   webhook, or if it was disabled
 * - `undelivered:<message id>`: present if the event `webhook_failed` was recorded for this
 *   message
 * - `model`: JSON (ModelRecord): the parts of the model's description that only the run knows, and
 *   what the model does on the rows that were held back
 *
 * A set of models has besides (lua/shared/set.lua):
 *
 * - `shards`, `shards_ended`, `next_shard`: how many shards there are and have ended; the first
 *   that has not been opened yet
 * - `shard_models`, `shard_work_ms`, `shard_memory_bytes`: how many models a shard has, the last
 *   one perhaps less, and what a shard takes
 * - `models_succeeded`, `models_failed`, `models_skipped`: how many models have ended so;
 *   `total_steps`: how many there are. Steps of its `progress` are models
 * - `went_at`, `went_models`: when it last began to run, and how many models had ended then
 * - `metrics_so_far`: JSON: by metric, how it is spread over the models that succeeded so far
 *   (sets/distribution.ts); absent after its end
 * - `set_bytes`: what its files take of what its owner's datasets may have
 * - `set_error`: why it will fail, once its runs have stopped
 * - `pooling`, `pooled_spec`: how many models there are, and the spec of the pooled model; present
 *   only while that is trained. Until then `total_steps`, `state_bytes`, `work_ms`, the progress
 *   and the checkpoints are those of the pooled model
 * - `pooled_result`, `pooled_by`: the result of the pooled model, and the token of the run that
 *   trained it. `model` describes the pooled model
 *
 * A shard has `set`, the id of its set, and of the other fields only those that its run needs.
 *
 * A prediction over a dataset has a record of the same kind, in which `total_steps` and the `step`
 * of `progress` count rows. It has besides:
 *
 * - `model_job`, `which`, `weights_sha256`: the job whose model predicts, and which weights of it
 * - `unseen`, and `split`, `fold` and `seed` of a set: as the API shows them
 * - `result_bytes`: how many bytes of what its owner's datasets may have it takes: what its result
 *   may have, then what it has
 */
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Finding } from "../contract/schema/diagnosis.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { Event } from "../contract/wire/event.ts";
import type { Change, Job, JobResult, JobSummary, Progress, SetCounts, Spread } from "../contract/wire/job.ts";

/** The ids in the field `dataset`. */
export function idsIn(datasets: string | null): string[] {
  return datasets === null ? [] : datasets.split(" ");
}

/** The parts of a Progress that a run knows. */
export interface ProgressReport extends Pick<
  Progress,
  "step" | "epoch" | "train_loss" | "valid_loss" | "metrics" | "learning_rate" | "samples_per_second" | "eta_seconds"
> {
  /** What the detectors have found in this job. */
  findings?: Finding[];
  /** Of a set of models, while it runs. */
  models_per_second?: number | null;
}

/**
 * What a job begins with, as the blob `origin`: a copy of another job's checkpoint, or the weights
 * that `init` gives.
 */
export interface Origin extends Pick<Checkpoint, "step" | "bytes" | "sha256" | "metrics"> {
  /**
   * `state`: the job continues from the whole state, with `changes` (numbers.ts) to the progress
   * in it. `final`, `best`: it begins with these weights in it. `init`: with the weights that the
   * blob is.
   */
  use: "state" | "final" | "best" | "init";
  changes: object;
  /**
   * The earliest step to which the job can be rewound without it. Absent in older records: its own
   * step.
   */
  first?: number;
}

/**
 * A rewind and its reason. Without a finding it was a rewind of the job that this one was forked
 * from.
 */
export interface RecordedChange extends Change {
  finding: Finding | null;
}

/** How a metric is spread over some models of a set (sets/distribution.ts). */
export type Moments = Readonly<Record<"count" | "mean" | "squares" | "min" | "max", number>>;

/** A row of metrics: values of one step that were taken together. */
export type MetricRow = { step: number } & Record<string, number | null>;

export type NewEvent = Pick<Event, "type" | "message" | "step" | "data">;

/** The fields of a hash; absent ones are null. */
export type Fields<F extends string> = Record<F, string | null>;

const outcomeFields = ["models_succeeded", "models_failed", "models_skipped"] as const;

export const summaryFields = [
  ...outcomeFields,
  "metrics_so_far",
  "pooling",
  "name",
  "status",
  "spec_sha256",
  "metadata",
  "created_at",
  "started_at",
  "finished_at",
  "run",
  "arithmetic_version",
  "arithmetic_changes",
  "parent",
  "total_steps",
  "total_epochs",
  "checkpoint_step",
  "progress",
  "updated_at",
  "result",
  "error",
] as const;
export type SummaryFields = Fields<(typeof summaryFields)[number]>;

export const jobFields = [...summaryFields, "spec", "warnings"] as const;

export function named<F extends string>(names: readonly F[], values: (string | null)[]): Fields<F> {
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Fields<F>;
}

export function toSummary(id: string, fields: SummaryFields): JobSummary {
  return {
    id,
    name: fields.name,
    status: fields.status as JobSummary["status"],
    spec_sha256: fields.spec_sha256!,
    metadata: json(fields.metadata!),
    created_at: toTime(fields.created_at!),
    started_at: toTime(fields.started_at),
    finished_at: toTime(fields.finished_at),
    run: Number(fields.run),
    arithmetic_version: Number(fields.arithmetic_version),
    arithmetic_changes: json(fields.arithmetic_changes) ?? [],
    parent: json(fields.parent),
    models: toModels(fields),
    progress: toProgress(id, fields),
    result: json(fields.result),
    error: json(fields.error),
  };
}

/** How the models of a set have ended. Null: the job is no set. */
function toModels(fields: SummaryFields): JobSummary["models"] {
  if (fields.models_succeeded === null) return null;
  const [succeeded, failed, skipped] = outcomeFields.map((name) => Number(fields[name]));
  const rate = json<ProgressReport>(fields.progress)?.models_per_second ?? null;
  return {
    total: Number(fields.pooling ?? fields.total_steps),
    ended: succeeded + failed + skipped,
    succeeded,
    failed,
    skipped,
    per_second: fields.status === "running" ? rate : null,
    distribution: soFar(fields),
  };
}

/** How the metrics are spread over the models that succeeded so far. */
function soFar({ result, metrics_so_far: moments }: SummaryFields): SetCounts["distribution"] {
  const ended = json<JobResult>(result)?.distribution;
  const spreads: [string, Spread][] =
    ended === undefined
      ? Object.entries(json<Record<string, Moments>>(moments) ?? {}).map(
          ([name, { count, mean, squares, min, max }]) => [name, { mean, std: Math.sqrt(squares / count), min, max }],
        )
      : Object.entries(ended).map(([name, { mean, std, min, max }]) => [name, { mean, std, min, max }]);
  return Object.fromEntries(spreads.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function toJob(id: string, fields: Fields<(typeof jobFields)[number]>): Job {
  return {
    ...toSummary(id, fields),
    spec: json<ResolvedSpec>(fields.spec!),
    warnings: json<Job["warnings"]>(fields.warnings) ?? [],
  };
}

/** The progress of a job that has reported nothing yet. */
export const atTheBeginning: ProgressReport = {
  step: 0,
  epoch: 0,
  train_loss: null,
  valid_loss: null,
  metrics: {},
  learning_rate: null,
  samples_per_second: null,
  eta_seconds: null,
};

export function toProgress(id: string, fields: SummaryFields): Progress {
  const report = json<ProgressReport>(fields.progress) ?? atTheBeginning;
  const status = fields.status as Progress["status"];
  const totalSteps = Number(fields.total_steps);
  const running = status === "running";
  return {
    job_id: id,
    status,
    run: Number(fields.run),
    step: report.step,
    total_steps: totalSteps,
    epoch: report.epoch,
    total_epochs: Number(fields.total_epochs),
    progress: status === "succeeded" ? 1 : Math.min(1, report.step / totalSteps),
    train_loss: report.train_loss,
    valid_loss: report.valid_loss,
    // Of a set none of whose models has any yet.
    metrics: report.metrics ?? {},
    learning_rate: report.learning_rate,
    samples_per_second: running ? report.samples_per_second : null,
    eta_seconds: running ? report.eta_seconds : null,
    last_checkpoint_step: fields.checkpoint_step === null ? null : Number(fields.checkpoint_step),
    updated_at: toTime(fields.updated_at),
  };
}

export function toCheckpoint(step: string, fields: Record<string, string>): Checkpoint {
  return {
    step: Number(step),
    run: Number(fields.run),
    bytes: Number(fields.bytes),
    sha256: fields.sha256,
    created_at: toTime(fields.created_at),
    kinds: fields.kinds.split(",") as Checkpoint["kinds"],
    metrics: json(fields.metrics),
    arithmetic_version: fields.arithmetic_version === undefined ? null : Number(fields.arithmetic_version),
  };
}

/** A checkpoint whose manifest is gone. Nothing is known of its bytes, so they cannot be read. */
export function lostCheckpoint(step: string): Checkpoint {
  const nothing = { run: 0, bytes: 0, sha256: "", created_at: "", kinds: [], metrics: {}, arithmetic_version: null };
  return { ...nothing, step: Number(step) };
}

export function toTime(milliseconds: string | number): string;
export function toTime(milliseconds: string | number | null): string | null;
export function toTime(milliseconds: string | number | null): string | null {
  return milliseconds === null ? null : new Date(Number(milliseconds)).toISOString();
}

function json<T>(text: string): T;
function json<T>(text: string | null): T | null;
function json<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T);
}
