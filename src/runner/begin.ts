import { ARITHMETIC_VERSION } from "../engine/kernels/kernels.ts";
import { meters } from "../meters.ts";
import type { AcquireOptions } from "../store/acquire.ts";
import { Unavailable } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import { isPrediction } from "../store/predictions.ts";
import { PredictionRun } from "./prediction-run.ts";
import { Run, type RunOptions } from "./run.ts";
import type { Running } from "./running.ts";

/** What a delivery carries. */
interface Due {
  readonly owner: string;
  readonly job_id: string;
  readonly turn: number;
}

/** Whether the worker runs nothing else, and how much memory is left. */
type Place = Pick<AcquireOptions, "idle" | "memoryLeft">;

/** How long to wait before the next attempt, unless it is known when the job becomes free. */
const RETRY_MS = 1000;

/**
 * `later`: another run holds the job, or Redis is away (`away`). `alone`: only an idle worker may
 * run it. `done`: there is nothing to run. `newer`: this process must take no more jobs.
 */
export type Begun =
  | { outcome: "run"; run: Running; alone: boolean; memoryBytes: number }
  | { outcome: "later" | "alone" | "newer"; waitMs: number; away?: Unavailable }
  | { outcome: "done" };

/**
 * Takes the delivered job, or another of the same owner that goes first, and makes its run.
 * `place`: what the worker has for it.
 */
export async function beginRun(due: Due, place: Place, options: RunOptions): Promise<Begun> {
  const acquired = await acquire(due, place, options);
  if (acquired instanceof Unavailable) return { outcome: "later", waitMs: RETRY_MS, away: acquired };
  switch (acquired.outcome) {
    case "taken":
      if (acquired.waitedMs !== null) meters.queueWait.observe(acquired.waitedMs / 1000);
      return {
        outcome: "run",
        run: runOf(acquired.lease, options),
        alone: acquired.alone,
        memoryBytes: acquired.memoryBytes,
      };
    case "busy":
      return { outcome: "later", waitMs: acquired.waitMs };
    case "alone":
    case "newer":
      return { outcome: acquired.outcome, waitMs: RETRY_MS };
    case "done":
      return { outcome: "done" };
  }
}

function runOf(lease: Lease, options: RunOptions): Running {
  return isPrediction(lease.jobId) ? new PredictionRun(lease, options) : new Run(lease, options);
}

async function acquire({ owner, job_id, turn }: Due, place: Place, { store, leaseMs }: RunOptions) {
  try {
    const options = { leaseMs, ...place, arithmeticVersion: ARITHMETIC_VERSION, turnOf: { owner, turn } };
    return await store.acquire(job_id, options);
  } catch (error) {
    if (error instanceof Unavailable) return error;
    throw error;
  }
}
