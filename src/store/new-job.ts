/** A job that is to be created: what is known of it, and what may come of it. */
import type { ResolvedSpec } from "../spec/spec.ts";
import type { Warning } from "../spec/warnings.ts";
import type { Job } from "../spec/wire.ts";
import type { Origin, ProgressReport } from "./record.ts";
import type { Room } from "./room.ts";

/** What an idempotency key is used for. */
export interface IdempotencyUse {
  readonly key: string;
  /** Of the body as canonical JSON. */
  readonly bodySha256: string;
  /** Of the body as it was written, which is what an earlier version recorded. */
  readonly textSha256?: string;
}

export interface NewJob {
  id: string;
  owner: string;
  spec: ResolvedSpec;
  specSha256: string;
  datasetId: string | null;
  arithmeticVersion: number;
  totalSteps: number;
  stateBytes: number;
  warnings: readonly Warning[];
  room: Room;
  idempotency: IdempotencyUse | null;
  /** Null: it is no fork. */
  fork: Fork | null;
}

/** From what another job of the same owner left. */
export interface Fork {
  parent: NonNullable<Job["parent"]>;
  /** The blob of the parent's checkpoint. */
  blob: string;
  origin: Origin;
  /** How far the fork is before it begins; null: it begins at step 0. */
  progress: ProgressReport | null;
}

/** What was to be used is gone. */
type Unmet = "dataset_missing" | "origin_missing";

/** `turn`: when it is to be delivered. */
export type Created = { outcome: "created"; record: Job; turn: number } | { outcome: Unmet; record: null };

/** A job that is to be created. */
export type Promised = Pick<NewJob, "owner" | "id" | "idempotency" | "room" | "fork">;
export interface Reserved {
  outcome: "reserved";
  record: null;
}

/**
 * What an idempotency key that was used before leads to. `mismatch`: it belongs to another body.
 */
export type Replayed = { outcome: "replayed"; record: Job } | { outcome: "mismatch"; record: null };

/** The fields of its record (record.ts), but those that lua/create.lua adds. */
export function recordOf(job: NewJob): Record<string, string | number> {
  const { spec, fork, room } = job;
  return {
    ...(spec.name === null ? {} : { name: spec.name }),
    spec: JSON.stringify(spec),
    spec_sha256: job.specSha256,
    metadata: JSON.stringify(spec.metadata),
    arithmetic_version: job.arithmeticVersion,
    total_steps: job.totalSteps,
    total_epochs: spec.training.epochs,
    state_bytes: job.stateBytes,
    ...(job.warnings.length === 0 ? {} : { warnings: JSON.stringify(job.warnings) }),
    event_limits: JSON.stringify(room.eventLimits),
    message_bytes: room.messageBytes,
    keep_most: room.keepMost,
    ...(spec.checkpoint.keep_after_end ? { keep_after_end: room.keepMost } : {}),
    ...(spec.checkpoint.at_start ? { keep_start: fork?.progress?.step ?? 0 } : {}),
    ...(spec.webhook === null ? {} : { webhook: JSON.stringify(spec.webhook.events) }),
    priority: spec.resources.priority,
    ...(fork === null ? {} : { parent: JSON.stringify(fork.parent), origin: JSON.stringify(fork.origin) }),
    ...(fork?.progress ? { progress: JSON.stringify(fork.progress) } : {}),
  };
}
