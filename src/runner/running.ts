import type { JobStatus } from "../contract/wire/job.ts";
import type { Lease } from "../store/lease.ts";
import type { RunTrace } from "./trace.ts";

/**
 * `ended`: there is nothing left to run, or not before the job is resumed. `released`: the job is
 * queued again. `postponed`: the same, but it should not be tried at once. `lost`: another run has
 * the job.
 */
export type RunEnd = "ended" | "released" | "postponed" | "lost";

/** A run as its worker sees it, whatever it does: it trains, or it predicts from a dataset. */
export interface Running {
  readonly lease: Lease;
  readonly trace: RunTrace;
  execute(): Promise<RunEnd>;
  /** The process is about to end: stops soon, and gives the job back. */
  shutdown(): void;
  /** Hears the status of the job, which says what is wanted of this run. */
  onStatus(status: JobStatus): void;
  /** Asks the record now what is wanted. */
  checkStatus(): void;
  /** @throws Error if the run stands still */
  assertMoving(): void;
  /** Stops at once and writes nothing more. */
  abandon(reason: Error): void;
  /** Stops at once. Another worker continues the job. */
  drop(): Promise<void>;
}
