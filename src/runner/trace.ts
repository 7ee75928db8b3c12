import type { Lease } from "../store/lease.ts";
import type { Stage } from "./standstill.ts";

/**
 * What a run reports to its trace. The runner does not import src/tracing.ts, which is loaded only
 * if somebody wants traces.
 */
export interface RunTrace {
  /** The run enters this stage. Nothing changes if it is already there. Default: now. */
  enter(stage: Stage, at?: number): void;
  /** Something was done during the stage, from `began` (by `Date.now()`) until now. */
  did(what: "evaluate" | "checkpoint", began: number, step: number, ended?: number): void;
  /** The job failed. */
  failed(code: string, message: string): void;
  ended(end: string): void;
}

export interface RunTraces {
  /** `context`: the trace context of the request that posted the job, if there was one. */
  trace(lease: Pick<Lease, "jobId" | "run">, context: string | null): RunTrace;
}

export const untraced: RunTrace = { enter() {}, did() {}, failed() {}, ended() {} };

/** A call of `enter`, `did` or `failed`, with the times. */
export type TraceCall = readonly [call: "enter" | "did" | "failed", ...args: unknown[]];

/** Writes down in `calls` what a run in another thread than the trace reports. */
export function recordedTrace(calls: TraceCall[]): RunTrace {
  return {
    enter: (stage, at = Date.now()) => void calls.push(["enter", stage, at]),
    did: (what, began, step, ended = Date.now()) => void calls.push(["did", what, began, step, ended]),
    failed: (code, message) => void calls.push(["failed", code, message]),
    ended() {},
  };
}

export function replayTrace(trace: RunTrace, calls: readonly TraceCall[]): void {
  for (const [call, ...args] of calls) Reflect.apply(trace[call], trace, args);
}
