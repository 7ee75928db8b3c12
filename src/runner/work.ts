/** What a job's record says of where a run begins, and of what went before. */
import type { Change } from "../engine/watch/rewind.ts";
import type { Finding } from "../contract/schema/diagnosis.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { Work } from "../store/work.ts";

/** The state from which the run goes on; null: it begins at step 0. */
export function resumesFrom({ checkpoint, origin }: Work): Pick<Checkpoint, "step" | "metrics"> | null {
  return checkpoint ?? (origin?.use === "state" ? origin : null);
}

/** The earliest step to which the job can go back. */
export function firstStep({ origin }: Work): number {
  return origin?.use === "state" ? (origin.first ?? origin.step) : 0;
}

/** The rewinds so far, as the engine takes them. */
export function changesOf({ changes }: Work): Change[] | null {
  return changes && changes.map(({ step, detected_step, lr_factor }) => ({ step, detected_step, lr_factor }));
}

/** The findings that led to the rewinds so far. */
export function findingsOf({ changes }: Work): Finding[] {
  return (changes ?? []).flatMap(({ finding }) => finding ?? []);
}
