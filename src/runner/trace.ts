import type { Lease } from "../store/lease.ts";
import type { Stage } from "./pulse.ts";

/**
 * What a run tells a trace of itself. Whoever makes traces (src/tracing.ts) is not known here, and
 * is not even loaded where nobody wants them.
 */
export interface RunTrace {
  /**
   * The run is at this stage from now on. Told at the one that it is at already, nothing changes.
   */
  enter(stage: Stage): void;
  /** Something was done beside, from `began` (as `Date.now()` gives it) until now. */
  did(what: "evaluate" | "checkpoint", began: number, step: number): void;
  /** The job failed. */
  failed(code: string, message: string): void;
  ended(end: string): void;
}

export interface RunTraces {
  /** `context`: as BullMQ carried it from where the job was posted. */
  trace(lease: Pick<Lease, "jobId" | "run">, context: string | undefined): RunTrace;
}

export const untraced: RunTrace = { enter() {}, did() {}, failed() {}, ended() {} };
