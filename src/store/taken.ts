/** A job that a worker gets, as plain data, so that another thread may run it. */
import type { WorkValues } from "./work.ts";

/** If so many runs die in a row at the same checkpoint, the job is taken to be the cause. */
export const MAX_CRASHES = 5;

/** What a worker has for a job that is to begin. */
export interface Place {
  leaseMs: number;
  /** Whether the worker runs nothing else. */
  idle: boolean;
  /** How much memory the worker's other jobs leave. An idle worker takes a job of any size. */
  memoryLeft: number;
  arithmeticVersion: number;
}

/** A lease, as it is told to another thread. */
export interface Hold {
  owner: string;
  jobId: string;
  run: number;
  token: string;
}

/** A job that was claimed and has not begun. */
export interface Claimed {
  owner: string;
  jobId: string;
  token: string;
  memoryBytes: number;
  workMs: number;
}

/** A job that has begun. */
export interface Taken {
  hold: Hold;
  /** Whether its worker must take nothing else before it commits, because its last run died. */
  alone: boolean;
  /** How long it was in the queue; null if it was not, or if that is no longer known. */
  waitedMs: number | null;
  memoryBytes: number;
  /** How much training it is, as far as that was estimated; null: it was not. */
  workMs: number | null;
  /** The trace context of the request that posted it. */
  trace: string | null;
  /** What the run reads first; null: it is long, or the job has a checkpoint. */
  work: WorkValues | null;
}

/** What `taken` in lua/shared/begin.lua returns. */
export type TakenAnswer = [
  owner: string,
  id: string,
  token: string,
  run: number,
  alone: number,
  waitedMs: number,
  memoryBytes: number,
  workMs: number,
  trace: string,
  work: (string | null)[] | null,
];

export function takenOf(answer: TakenAnswer): Taken {
  const [owner, jobId, token, run, alone, waitedMs, memoryBytes, workMs, trace, work] = answer;
  return {
    hold: { owner, jobId, run, token },
    alone: alone === 1,
    waitedMs: waitedMs < 0 ? null : waitedMs,
    memoryBytes,
    workMs: workMs < 0 ? null : workMs,
    trace: trace === "" ? null : trace,
    work,
  };
}

/** The place as lua/shared/begin.lua takes it. */
export function placeFields({ leaseMs, idle, memoryLeft, arithmeticVersion }: Place) {
  return {
    lease_ms: leaseMs,
    idle,
    memory_left: memoryLeft,
    arithmetic_version: arithmeticVersion,
    max_crashes: MAX_CRASHES,
  };
}
