/**
 * Rewinds a job after a divergence (engine/watch/rewind.ts), in the same run. First everything that
 * the crew still has to report and to commit is written. Then one script rewinds the record and
 * deletes what came after the step. The next crew begins as a crew of a new run would: from the
 * last checkpoint that is left, or from the job's beginning, with the changes in the record. So the
 * process may die at any time. Before the script, the next run diverges at the same step and
 * decides the same. After it, the next run begins where this one would have begun.
 */
import type { Outcome } from "../engine/crew/outcome.ts";
import type { Change } from "../engine/watch/rewind.ts";
import { changeSentence } from "../contract/diagnosis.ts";
import type { Lease } from "../store/lease.ts";
import type { NewEvent } from "../store/record.ts";
import type { Work } from "../store/work.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { persist, type Life } from "./persist.ts";
import type { Reporter } from "./reporter.ts";
import type { Rewind } from "../engine/settings.ts";

type Diverged = Extract<Outcome, { type: "diverged" }>;

interface Writers {
  readonly lease: Lease;
  readonly reporter: Reporter;
  readonly checkpoints: Checkpoints;
  readonly life: Life;
}

/** Resolves to the work that is to be done after the rewind. */
export async function rewind(
  writers: Writers,
  work: Work,
  { changes, finding }: Diverged,
  change: Change,
): Promise<Work> {
  const { lease, reporter, checkpoints, life } = writers;
  await checkpoints.idle();
  await reporter.rewind(life);
  const before = work.changes ?? changes.map((inherited) => ({ ...inherited, finding: null }));
  const { max } = work.spec.detectors.diverging.rewind as Rewind;
  const { step, ...data } = change;
  const event: NewEvent = {
    type: "rewound",
    message: `${finding.message} ${changeSentence(change)}`,
    step,
    data: { ...data, cause: finding.cause, count: before.length + 1, max },
  };
  await persist(life, () => lease.rewind(step, [...before, { ...change, finding }], event));
  return await persist(life, () => lease.work());
}
