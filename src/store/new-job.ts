/** A job that is to be created: what is known of it, and what may come of it. */
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import { SPEC_VERSION } from "../contract/schema/version.generated.ts";
import type { Inherited } from "../contract/resolve/encoders.ts";
import type { Told } from "../contract/resolve/resolve.ts";
import type { NewSet } from "../contract/resolve/model-set.ts";
import type { Warning } from "../contract/resolve/warnings.ts";
import type { Job } from "../contract/wire/job.ts";
import type { IdempotencyUse } from "./idempotency.ts";
import { jobFields, named, toJob, type NewEvent, type Origin, type ProgressReport } from "./record.ts";
import type { Room } from "./room.ts";

export interface NewJob {
  id: string;
  owner: string;
  spec: ResolvedSpec;
  specSha256: string;
  datasetIds: readonly string[];
  arithmeticVersion: number;
  totalSteps: number;
  stateBytes: number;
  /** What it takes while it runs. */
  memoryBytes: number;
  /** Milliseconds that one thread would train, estimated. */
  workMs: number;
  warnings: readonly Warning[];
  /** Null: the job trains one model. */
  set: NewSet | null;
  inherited: Inherited | null;
  /** The weights that it begins with; null: random ones, or those of its fork. */
  start: { bytes: Uint8Array; sha256: string } | null;
  /** The uploaded weights among what it begins with. */
  weightsId: string | null;
  told: Told;
  room: Room;
  idempotency: IdempotencyUse | null;
  /** Null: the job is no fork. */
  fork: Fork | null;
  /** The trace context of the request; null without traces. */
  trace: string | null;
}

/** What a fork takes from another job of the same owner. */
export interface Fork {
  parent: NonNullable<Job["parent"]>;
  /** The blob of the parent's checkpoint. */
  blob: string;
  origin: Origin;
  /** The progress that the fork starts with; null: it starts at step 0. */
  progress: ProgressReport | null;
}

/** Something that the job needs was deleted. */
type MissingInput = "dataset_missing" | "origin_missing" | "weights_missing";

/** `wake`: a wake-up must be added to the queue. */
export type Created = { outcome: "created"; record: Job; wake: boolean } | { outcome: MissingInput; record: null };

/** What is needed to promise room to a job that is about to be created. */
export type Promised = Pick<NewJob, "owner" | "id" | "idempotency" | "room" | "fork" | "start">;
export interface Reserved {
  outcome: "reserved";
  record: null;
}

/**
 * The answer for an idempotency key that was used before. `mismatch`: it was used for another
 * body.
 */
export type Replayed = { outcome: "replayed"; record: Job } | { outcome: "mismatch"; record: null };

/** `begun`: the key is new. */
export interface BatchBegun {
  readonly outcome: "begun" | "replayed" | "mismatch";
  readonly firstId: string;
}

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * The id that comes `places` after this one. All ids of a batch follow from its first, so that its
 * idempotency key has to keep only that.
 */
export function idAfter(id: string, places: number): string {
  const digits = id.split("");
  let carry = places;
  for (let at = digits.length - 1; carry > 0; at--) {
    const sum = CROCKFORD.indexOf(digits[at]) + carry;
    digits[at] = CROCKFORD[sum % 32];
    carry = Math.floor(sum / 32);
  }
  return digits.join("");
}

/** The fields of the job's record (record.ts), without those that lua/create.lua adds. */
export function recordOf(job: NewJob): Record<string, string | number> {
  const { spec, fork, room } = job;
  return {
    ...(spec.name === null ? {} : { name: spec.name }),
    spec: JSON.stringify(spec),
    spec_sha256: job.specSha256,
    spec_version: SPEC_VERSION,
    metadata: JSON.stringify(spec.metadata),
    arithmetic_version: job.arithmeticVersion,
    total_steps: job.totalSteps,
    total_epochs: spec.training.epochs,
    state_bytes: job.stateBytes,
    memory_bytes: job.memoryBytes,
    work_ms: Math.ceil(job.workMs),
    ...setFields(job.set),
    ...pooledFields(job.set),
    ...(job.warnings.length === 0 ? {} : { warnings: JSON.stringify(job.warnings) }),
    ...(job.inherited === null ? {} : { encoders: JSON.stringify(job.inherited) }),
    event_limits: JSON.stringify(room.eventLimits),
    message_bytes: room.messageBytes,
    keep_most: room.keepMost,
    ...(spec.checkpoint.keep_after_end ? { keep_after_end: room.keepMost } : {}),
    ...(spec.checkpoint.at_start ? { keep_start: fork?.progress?.step ?? 0 } : {}),
    ...(spec.webhook === null ? {} : { webhook: JSON.stringify(spec.webhook.events) }),
    priority: spec.resources.priority,
    ...(job.trace === null ? {} : { trace: job.trace }),
    ...(fork === null ? {} : { parent: JSON.stringify(fork.parent) }),
    ...(job.start === null ? {} : { init: 1 }),
    ...originFields(job),
    ...(fork?.progress ? { progress: JSON.stringify(fork.progress) } : {}),
  };
}

function setFields(set: NewSet | null): Record<string, number> {
  if (set === null) return {};
  return {
    shards: Math.ceil(set.models / set.shardModels),
    next_shard: 0,
    shards_ended: 0,
    shard_models: set.shardModels,
    shard_work_ms: Math.ceil(set.workMs),
    shard_memory_bytes: set.memoryBytes,
    models_succeeded: 0,
    models_failed: 0,
    models_skipped: 0,
    set_bytes: 0,
  };
}

/** As long as the pooled model is trained. */
function pooledFields(set: NewSet | null): Record<string, string | number> {
  if (!set?.pooled) return {};
  const { spec, totalSteps, stateBytes, workMs } = set.pooled;
  return {
    pooling: set.models,
    pooled_spec: JSON.stringify(spec),
    total_steps: totalSteps,
    state_bytes: stateBytes,
    work_ms: Math.ceil(workMs),
  };
}

/** The job as it is just after lua/create.lua has written these fields. */
export function jobOf(id: string, written: ReturnType<typeof recordOf>, createdAt: number): Job {
  const all: Record<string, string | number> = { ...written, status: "queued", run: 0, created_at: createdAt };
  const values = jobFields.map((field) => (Object.hasOwn(all, field) ? String(all[field]) : null));
  return toJob(id, named(jobFields, values));
}

/** What the job begins with, as the blob `origin`. */
export function originOf({ fork, start }: Pick<NewJob, "fork" | "start">): Origin | null {
  if (fork !== null) return fork.origin;
  if (start === null) return null;
  const { bytes, sha256 } = start;
  return { step: 0, bytes: bytes.byteLength, sha256, metrics: {}, use: "init", changes: {} };
}

function originFields(job: NewJob): { origin?: string } {
  const origin = originOf(job);
  return origin === null ? {} : { origin: JSON.stringify(origin) };
}

/** The first event. It says what the job takes over from others. */
export function createdEvent({ fork, told }: Pick<NewJob, "fork" | "told">): NewEvent {
  const { encoders, init } = told;
  const sentences = [
    fork === null ? "Created." : `Forked from step ${fork.parent.step} of ${fork.parent.job_id}.`,
    ...(init === null ? [] : [`It begins with ${init.taken} tensors of ${init.from}.`]),
    ...(encoders === null ? [] : [`The encoders are those of ${encoders.job}.`]),
  ];
  const data = {
    ...(init === null ? {} : { init }),
    ...(encoders === null ? {} : { encoders: { job: encoders.job, ...encoders.outside } }),
  };
  const message = sentences.join(" ");
  return { type: "created", message, step: null, data: Object.keys(data).length === 0 ? null : data };
}
