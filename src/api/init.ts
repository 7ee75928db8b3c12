/** What jobs begin with instead of random weights: where it is found. */
import type { InitCheckpoint, UploadedWeights } from "../contract/resolve/init.ts";
import { Damaged } from "../store/errors.ts";
import type { Store } from "../store/store.ts";
import { chosenCheckpoint } from "./checkpoint-choice.ts";
import type { Services } from "./services.ts";

export async function uploadedWeights(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  id: string,
): Promise<UploadedWeights | null> {
  const record = await store.weights.get(owner, id);
  if (record === null) return null;
  return { tensors: record.tensors, sha256: record.sha256, path: files.weights.path(record) };
}

export async function initCheckpoint(
  store: Store,
  owner: string,
  id: string,
  step: number | "final" | "best",
): Promise<InitCheckpoint | { fault: string } | null> {
  const job = await store.jobs.get(owner, id);
  if (job === null) return null;
  if (step === "final" && job.status !== "succeeded")
    return { fault: `means the end of ${id}, which is ${job.status}; choose one of its checkpoints, or wait` };
  const found = await chosenCheckpoint(store, owner, job, step);
  if ("fault" in found) return found;
  return {
    head: found.head,
    bytes: () =>
      store.jobs.checkpointBytes(owner, id, found.checkpoint.step).catch((error: unknown) => {
        if (error instanceof Damaged) return null;
        throw error;
      }),
  };
}
