/** What the main thread and the thread of a lane send each other. */
import type { JobStatus } from "../contract/wire/job.ts";
import type { MeterCall } from "../meters.ts";
import type { Claimed, Taken } from "../store/taken.ts";
import type { Retrying } from "../retries.ts";
import type { Answer, Question } from "./questions.ts";
import type { RunEnd } from "./running.ts";
import type { TraceCall } from "./trace.ts";

/** How long a small job trains, as far as that was estimated. */
export const SMALL_MS = 1000;

export interface LaneData {
  readonly redisUrl: string;
  readonly logLevel: string;
  readonly leaseMs: number;
  /** How many runs the process has now. */
  readonly runs: Int32Array;
  /** Counts seconds from 1, as long as the event loop of the thread turns. */
  readonly beat: Int32Array;
}

/** What one claim brought (store/claim.ts). More may follow while the lane runs it. */
export interface Batch {
  readonly first: Taken;
  readonly rest: readonly Claimed[];
}

export type LaneRequest =
  | ({ readonly type: "run" } & Batch)
  /** Jobs that were claimed before the lane had none left. If it has none, it ignores them. */
  | { readonly type: "more"; readonly claimed: readonly Claimed[] }
  | { readonly type: "status"; readonly jobId: string; readonly status: JobStatus }
  | { readonly type: "check" }
  | { readonly type: "shutdown" }
  | { readonly type: "answer"; readonly id: number; readonly answer: Answer };

export type LaneMessage =
  | ({ readonly type: "ended" } & Ended)
  | { readonly type: "asked"; readonly id: number; readonly question: Question }
  /** The loops of the thread that fail at the moment (retries.ts), whenever that changes. */
  | { readonly type: "retrying"; readonly loops: readonly Retrying[]; readonly meters: readonly MeterCall[] };

/** How a run ended, and what it told meanwhile. */
export interface Ended {
  readonly end: RunEnd;
  /** The job that has begun after it; null: the batch has ended. */
  readonly next: Taken | null;
  /** How many of the batch's claimed jobs the lane has begun or dropped until now. */
  readonly passed: number;
  readonly meters: readonly MeterCall[];
  readonly trace: readonly TraceCall[];
}
