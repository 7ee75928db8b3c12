/** How a worker asks the record for jobs, and makes runs of them. */
import { ARITHMETIC_VERSION } from "../engine/kernels/kernels.ts";
import type { BegunClaimed, Claim, ClaimOptions } from "../store/claim.ts";
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

/** @throws Unavailable if there is no answer. The jobs may be the caller's nevertheless. */
export async function askForJobs(store: Store, asked: Asked): Promise<Claim> {
  return await store.claim({ ...asked, arithmeticVersion: ARITHMETIC_VERSION });
}

/** @throws Unavailable if there is no answer. The job may have begun nevertheless. */
export async function beginClaimed(store: Store, claimed: Claimed, place: Place): Promise<BegunClaimed> {
  return await store.begin(claimed, { ...place, arithmeticVersion: ARITHMETIC_VERSION });
}

/** Whether Redis did not answer. */
export function isAway(error: unknown): error is Unavailable {
  return error instanceof Unavailable;
}

/** Makes the run of a job that has begun. */
export function runOf({ hold, work }: Taken, options: RunOptions & Sources): Running {
  const lease = options.store.lease(hold);
  return isPrediction(hold.jobId)
    ? new PredictionRun(lease, options)
    : new Run(lease, { ...options, work, readData: readFrom(options) });
}
