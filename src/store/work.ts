/** What a run needs to know of its job before it begins. */
import type { Inherited } from "../contract/resolve/encoders.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import {
  idsIn,
  lostCheckpoint,
  named,
  toCheckpoint,
  type Origin,
  type ProgressReport,
  type RecordedChange,
} from "./record.ts";
import { storedSpec } from "./stored-spec.ts";

/** The fields of the record, in the order in which lua/shared/begin.lua returns their values. */
export const workFields = [
  "status",
  "spec",
  "spec_version",
  "dataset",
  "total_steps",
  "state_bytes",
  "progress",
  "checkpoint_step",
  "origin",
  "encoders",
  "changes",
  "pooled_spec",
] as const;

/** The values of these fields. */
export type WorkValues = readonly (string | null)[];

/** Up to this size the values come with a job that begins. */
export const WORK_BYTES = 16_384;

export interface Work {
  status: JobStatus;
  spec: ResolvedSpec;
  datasetIds: readonly string[];
  totalSteps: number;
  stateBytes: number;
  /** The last reported progress. */
  progress: ProgressReport | null;
  checkpoint: Checkpoint | null;
  /**
   * The state of another job that this job begins with if it has no checkpoint that can be read;
   * null: it begins with nothing.
   */
  origin: Origin | null;
  /** The encoders of another job that this job takes over; null: it fits its own. */
  inherited: Inherited | null;
  /** Whether it is the pooled model of a set that is to be trained. */
  isPooled: boolean;
  /** All rewinds so far; null: only those that the state itself records. */
  changes: RecordedChange[] | null;
}

/** The step of the checkpoint from which the job goes on. */
export function checkpointIn(values: WorkValues): string | null {
  return values[workFields.indexOf("checkpoint_step")];
}

/** @param manifest that of the checkpoint; null: there is no checkpoint */
export async function workOf(values: WorkValues, manifest: Record<string, string> | null): Promise<Work> {
  const record = named(workFields, [...values]);
  const step = record.checkpoint_step;
  return {
    status: record.status as JobStatus,
    // Only as long as the pooled model is trained does a run get a set itself.
    spec: await storedSpec(record.pooled_spec ?? record.spec!, record.spec_version),
    datasetIds: idsIn(record.dataset),
    totalSteps: Number(record.total_steps),
    stateBytes: Number(record.state_bytes),
    progress: JSON.parse(record.progress ?? "null") as ProgressReport | null,
    checkpoint: manifest && (manifest.blob ? toCheckpoint(step!, manifest) : lostCheckpoint(step!)),
    origin: JSON.parse(record.origin ?? "null") as Origin | null,
    inherited: JSON.parse(record.encoders ?? "null") as Inherited | null,
    isPooled: record.pooled_spec !== null,
    changes: JSON.parse(record.changes ?? "null") as RecordedChange[] | null,
  };
}
