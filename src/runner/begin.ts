import { ARITHMETIC_VERSION } from "../engine/kernels/kernels.ts";
import { Unavailable } from "../store/errors.ts";
import type { Acquired } from "../store/lease.ts";
import { Run, type RunOptions } from "./run.ts";

/** After which to ask again for a job that could not be had, unless it is known when it becomes free. */
const RETRY_MS = 1000;

/** `later`: another run holds the job, or Redis is away. `alone`: only an idle worker may run it. `done`: there is nothing to run. */
export type Begun =
  | { outcome: "run"; run: Run; alone: boolean }
  | { outcome: "later" | "alone"; waitMs: number }
  | { outcome: "done" };

/** Takes a job, if it can be had. `idle`: the worker runs nothing else. */
export async function beginRun(jobId: string, idle: boolean, options: RunOptions): Promise<Begun> {
  const acquired = await acquire(jobId, idle, options);
  switch (acquired.outcome) {
    case "taken":
      return { outcome: "run", run: new Run(acquired.lease, options), alone: acquired.alone };
    case "busy":
      return { outcome: "later", waitMs: acquired.waitMs };
    case "alone":
      return { outcome: "alone", waitMs: RETRY_MS };
    case "done":
      return { outcome: "done" };
  }
}

async function acquire(jobId: string, idle: boolean, { store, leaseMs }: RunOptions): Promise<Acquired> {
  try {
    return await store.acquire(jobId, { leaseMs, idle, arithmeticVersion: ARITHMETIC_VERSION });
  } catch (error) {
    if (error instanceof Unavailable) return { outcome: "busy", waitMs: RETRY_MS };
    throw error;
  }
}
