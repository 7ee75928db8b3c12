/** How a job ended, as those who started it are told. */
import { VERDICT } from "./control.ts";
import type { Finding } from "../detectors/detector.ts";
import { stepsPerEpoch, type TrainingJob } from "../job.ts";
import type { RecentLog } from "./log-reader.ts";
import type { Ended, Reports } from "./messages.ts";
import type { Progress, StopReason } from "../state/state.ts";
import { explainDivergence, verdictOf } from "../watch/diagnosis.ts";
import type { RangeTestResult } from "../watch/range-test.ts";
import type { Change } from "../watch/rewind.ts";

export type Outcome =
  | {
      readonly type: StopReason;
      readonly step: number;
      readonly epochs: number;
      readonly metrics: Readonly<Record<string, number>>;
      readonly best: Progress["best"];
      readonly changes: readonly Change[];
      readonly reports: Reports;
      /** Of a test of rates. */
      readonly rangeTest?: RangeTestResult;
    }
  | {
      readonly type: "diverged";
      readonly step: number;
      readonly finding: Finding;
      readonly changes: readonly Change[];
    }
  | { readonly type: "stopped"; readonly step: number };

/** `log`: its last entries are asked for only if the run diverged. */
export function outcomeOf(
  job: TrainingJob,
  { outcome, progress, reports }: Ended,
  log: Pick<RecentLog, "recent">,
): Outcome {
  const { step, metrics, best, changes, rangeTest } = progress;
  if (outcome === "stopped") return { type: "stopped", step };
  const perEpoch = stepsPerEpoch(job.training, job.data.trainRows.length);
  if (outcome === "diverged") {
    const fatal = progress.diagnosis.findings.find((finding) => verdictOf(job, finding) === VERDICT.fail);
    const finding = fatal ?? explainDivergence(job, perEpoch * job.training.epochs, log.recent, step);
    return { type: "diverged", step, finding, changes };
  }
  return {
    type: progress.finished!,
    step,
    epochs: Math.floor(step / perEpoch),
    metrics,
    best,
    changes,
    reports,
    rangeTest,
  };
}

/** What to tell the user of a run that diverged. */
export function divergenceOf({ finding, changes }: Extract<Outcome, { type: "diverged" }>) {
  const stepsBack = changes.map((change) => change.step);
  return {
    message: `${finding.message}${rewindsBefore(stepsBack)}`,
    suggestion: `${finding.remedy}${widerWindow(stepsBack)}`,
  };
}

function rewindsBefore({ length }: readonly number[]): string {
  if (length === 0) return "";
  return ` Training had gone back ${length === 1 ? "once" : `${length} times`} before.`;
}

/**
 * If training went back to one step again and again, the weights may have been ruined there
 * already.
 */
function widerWindow(stepsBack: readonly number[]): string {
  const [step] = stepsBack;
  if (stepsBack.length < 2 || new Set(stepsBack).size > 1 || step === 0) return "";
  return ` If it was too late at step ${step}, to which training went back each time, raise detectors.diverging.rewind.window.`;
}
