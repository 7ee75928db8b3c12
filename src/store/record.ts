/**
 * A job's record as Redis holds it: a hash whose fields are numbers, words or JSON texts, times in
 * milliseconds since 1970.
 *
 * | field | what |
 * |---|---|
 * | `name`, `spec`, `spec_sha256`, `metadata`, `arithmetic_version`, `created_at`, `started_at`, `finished_at`, `result`, `error` | as the API shows them |
 * | `arithmetic_changes` | likewise; absent if there are none |
 * | `warnings` | likewise |
 * | `parent` | likewise; absent unless the job is a fork |
 * | `origin` | JSON: an Origin, until the job has two checkpoints of its own; of one that keeps but one, or may be rewound, until it ends or is taken back to before it |
 * | `total_steps`, `total_epochs`, `state_bytes` | sizes, worked out when the job was posted |
 * | `status` | see the arrows in lua/ |
 * | `dataset`, `idempotency` | what the job holds on to: a dataset's id, the SHA-256 of an idempotency key |
 * | `turn` | when it is to be delivered (shared.lua) |
 * | `counted_bytes` | what it counts for among its owner's bytes |
 * | `reserved`, `spent` | bytes it was promised until it ends, and how many of them it has (room.ts); absent once it has ended |
 * | `keep_after_end` | how many checkpoints are kept once the job has ended; one unless it is there |
 * | `keep_start` | the step whose checkpoint is kept as long as the job |
 * | `event_limits`, `message_bytes`, `keep_most` | JSON: type → how many events of it a run may tell; what a message to its webhook takes; how many checkpoints are kept at most; likewise |
 * | `priority` | as in its spec |
 * | `delivery` | how many times it was given to BullMQ |
 * | `run`, `token`, `lease_expires_at` | the lease; it is free if the last is absent or past |
 * | `crashes`, `crash_step` | how many runs died in a row, and at which checkpoint |
 * | `checkpoint_step` | the step of the last committed checkpoint |
 * | `changes` | JSON: RecordedChange[], all rewinds so far; absent if this job made none |
 * | `uploads`, `reported` | counters: of uploads, of this run's reports |
 * | `progress`, `updated_at` | how far the run said it was, and when it said so |
 * | `webhook` | JSON: types of the events that go to the spec's webhook; absent if there is none, or none any more |
 * | `undelivered:<message id>` | there if its event `webhook_failed` was recorded |
 * | `model` | JSON: the parts of the model's description that only the run knew |
 */
import type { ResolvedSpec } from "../spec/spec.ts";
import type { Finding } from "../spec/diagnosis.ts";
import type { Change, Checkpoint, Event, Job, JobSummary, ModelDescription, Progress } from "../spec/wire.ts";

/** How far a run has come; what it knows of a Progress. */
export interface ProgressReport extends Pick<
  Progress,
  "step" | "epoch" | "train_loss" | "valid_loss" | "metrics" | "learning_rate" | "samples_per_second" | "eta_seconds"
> {
  /** What detectors have found in this job. */
  findings?: Finding[];
}

/** What a forked job begins with: a copy of another job's checkpoint, as the blob `origin`. */
export interface Origin extends Pick<Checkpoint, "step" | "bytes" | "sha256" | "metrics"> {
  /**
   * `state`: the job goes on from it, with `changes` (numbers.ts) to what it says of its progress.
   * Else it begins with the last, or the best, weights in it.
   */
  use: "state" | "final" | "best";
  changes: object;
  /**
   * Up to which step back the job's course can be taken anew without it; absent in older records:
   * up to its own.
   */
  first?: number;
}

/** A rewind, and why; null: it was the job's that this one is a fork of. */
export interface RecordedChange extends Change {
  finding: Finding | null;
}

/** A row of metrics: those that were taken together at one step. */
export type MetricRow = { step: number } & Record<string, number | null>;

/** What a run says of its model beside the weights. */
export type ModelNotes = Pick<ModelDescription, "layers" | "inputs" | "target">;

export type NewEvent = Pick<Event, "type" | "message" | "step" | "data">;

/** The fields of a hash; absent ones are null. */
export type Fields<F extends string> = Record<F, string | null>;

export const summaryFields = [
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
    progress: toProgress(id, fields),
    result: json(fields.result),
    error: json(fields.error),
  };
}

export function toJob(id: string, fields: Fields<(typeof jobFields)[number]>): Job {
  return {
    ...toSummary(id, fields),
    spec: json<ResolvedSpec>(fields.spec!),
    warnings: json<Job["warnings"]>(fields.warnings) ?? [],
  };
}

/** Of a job that nothing was heard of yet. */
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
    metrics: report.metrics,
    learning_rate: report.learning_rate,
    samples_per_second: running ? report.samples_per_second : null,
    eta_seconds: running ? report.eta_seconds : null,
    last_checkpoint_step: fields.checkpoint_step === null ? null : Number(fields.checkpoint_step),
    updated_at: toTime(fields.updated_at),
  };
}

/** `text` is what lua/shared.lua wrote; its place in the list, from 1, is the event's id. */
export function toEvent(place: number, text: string): Event {
  const event = JSON.parse(text);
  return {
    id: String(place),
    run: event.run,
    step: event.step,
    type: event.type,
    message: event.message,
    data: event.data,
    created_at: toTime(event.created_at),
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

/** One whose manifest is gone, and so what it says of its bytes: they cannot be read. */
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
