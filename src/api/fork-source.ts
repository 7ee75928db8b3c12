/** What a fork begins with: a checkpoint of its parent. */
import { Problem } from "../contract/errors.ts";
import type { Fork, ResolvedFork } from "../contract/resolve/fork.ts";
import type { Job } from "../contract/wire/job.ts";
import type { Fork as StoredFork } from "../store/new-job.ts";
import { atTheBeginning } from "../store/record.ts";
import type { Store } from "../store/store.ts";
import { chosenCheckpoint } from "./checkpoint-choice.ts";

type Source = Exclude<Awaited<ReturnType<typeof chosenCheckpoint>>, { fault: string }>;

/** @throws Problem if the job has no final state yet */
export async function checkpointOf(store: Store, owner: string, parent: Job, step: Fork["step"]) {
  if (step === "final" && parent.status !== "succeeded") {
    const detail = `There is a final state once the job has succeeded; it is ${parent.status}.`;
    throw new Problem("wrong_status", detail, { current_status: parent.status });
  }
  return await chosenCheckpoint(store, owner, parent, step);
}

/** What a fork takes from its parent. */
export function beginning(
  parent: Job,
  { resolved, source, use, step, changes, first }: ResolvedFork<Source>,
): StoredFork {
  const { bytes, sha256, metrics } = source.checkpoint;
  const stepsPerEpoch = resolved.totalSteps / resolved.spec.training.epochs;
  const progress = { ...atTheBeginning, step, epoch: Math.floor(step / stepsPerEpoch), metrics };
  return {
    parent: { job_id: parent.id, step },
    blob: source.blob,
    origin: { step, bytes, sha256, metrics, use, changes, first },
    progress: use === "state" ? { ...progress, valid_loss: metrics.valid_loss ?? null } : null,
  };
}
