/** The checkpoint of a job that another one is to begin with. */
import type { Job } from "../contract/wire/job.ts";
import { Damaged } from "../store/errors.ts";
import type { Store } from "../store/store.ts";

const MAX_STEPS_TOLD = 10;

type Head = NonNullable<Awaited<ReturnType<Store["jobs"]["checkpointHead"]>>>;

/** The checkpoint that `step` means, or why there is none. */
export async function chosenCheckpoint(
  store: Store,
  owner: string,
  { id, result, progress, models }: Pick<Job, "id" | "result" | "progress" | "models">,
  step: number | "final" | "best",
): Promise<Head | { fault: string }> {
  if (models !== null) return { fault: "means a checkpoint, and a set of models keeps none" };
  // The best weights so far are in every checkpoint.
  const meant = { final: result?.steps, best: progress.last_checkpoint_step };
  const wanted = typeof step === "number" ? step : (meant[step] ?? null);
  try {
    const found = wanted === null ? null : await store.jobs.checkpointHead(owner, id, wanted);
    if (found !== null) return found;
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    return { fault: "means a checkpoint that is damaged; choose another step" };
  }
  const kept = await store.jobs.checkpoints(owner, id, { limit: MAX_STEPS_TOLD });
  if (kept === null) return { fault: "has no checkpoint: the job was deleted meanwhile" };
  const steps = kept.data.map((checkpoint) => checkpoint.step).join(", ");
  return { fault: `has no checkpoint (any more); ${steps === "" ? "there is none yet" : `there are: ${steps}`}` };
}
