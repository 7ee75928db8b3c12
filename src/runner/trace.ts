import type { Lease } from "../store/lease.ts";
import type { Stage } from "./standstill.ts";

/**
 * What a run reports to its trace. The runner does not import src/tracing.ts, which is loaded only
 * if somebody wants traces.
 */
export interface RunTrace {
  /** The run enters this stage. Nothing changes if it is already there. */
  enter(stage: Stage): void;
  /** Something was done during the stage, from `began` (by `Date.now()`) until now. */
  did(what: "evaluate" | "checkpoint", began: number, step: number): void;
  /** The job failed. */
  failed(code: string, message: string): void;
  ended(end: string): void;
}

export interface RunTraces {
  /** `context`: the trace context of the request that posted the job, if there was one. */
  trace(lease: Pick<Lease, "jobId" | "run">, context: string | null): RunTrace;
}

export const untraced: RunTrace = { enter() {}, did() {}, failed() {}, ended() {} };
