/** How a worker asks the record for jobs, and makes runs of them. */
import { ARITHMETIC_VERSION } from "../engine/kernels/kernels.ts";
import type { Claim, ClaimOptions } from "../store/claim.ts";
import { Unavailable } from "../store/errors.ts";
import { isPrediction } from "../store/predictions.ts";
import type { Store } from "../store/store.ts";
import type { Claimed, Taken } from "../store/taken.ts";
import { PredictionRun } from "./prediction-run.ts";
import type { RunOptions } from "./options.ts";
import { readFrom, type Sources } from "./prepare.ts";
import { Run } from "./run.ts";
import type { Running } from "./running.ts";

export type { Claimed, Taken } from "../store/taken.ts";

export type Asked = Omit<ClaimOptions, "arithmeticVersion">;
export type Place = Pick<Asked, "leaseMs" | "idle" | "memoryLeft">;
/** `away`: Redis cannot be reached. */
export type Answered = Claim | { outcome: "away"; error: Unavailable };

export async function askForJobs(store: Store, asked: Asked): Promise<Answered> {
  return await orAway(store.claim({ ...asked, arithmeticVersion: ARITHMETIC_VERSION }));
}

/** Null: the job is not ours any more, or must wait. */
export async function beginClaimed(store: Store, claimed: Claimed, place: Place): Promise<Taken | null> {
  const begun = await orAway(store.begin(claimed, { ...place, arithmeticVersion: ARITHMETIC_VERSION }));
  return begun.outcome === "taken" ? begun.taken : null;
}

async function orAway<T>(answer: Promise<T>): Promise<T | { outcome: "away"; error: Unavailable }> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Unavailable) return { outcome: "away", error };
    throw error;
  }
}

/** Makes the run of a job that has begun. */
export function runOf({ hold }: Taken, options: RunOptions & Sources): Running {
  const lease = options.store.lease(hold);
  return isPrediction(hold.jobId)
    ? new PredictionRun(lease, options)
    : new Run(lease, { ...options, readData: readFrom(options) });
}
