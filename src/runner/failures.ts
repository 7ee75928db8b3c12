/** Why a job fails, in the words of its error. */
import { ThreadFailed } from "../engine/crew/hands.ts";
import type { Outcome } from "../engine/crew/outcome.ts";
import type { PredictionFailureCode } from "../contract/wire/batch-prediction.ts";
import type { FailureCode } from "../contract/wire/job.ts";

type Code = FailureCode | PredictionFailureCode;

/** Why a job is given back that had to do without memory. */
export const NO_MEMORY = "The worker has no memory left for this job now; it is tried again.";

export class JobFailure extends Error {
  readonly code: Code;
  readonly suggestion: string | null;
  readonly step: number | null;

  constructor(code: Code, message: string, suggestion: string | null = null, step: number | null = null) {
    super(message);
    this.code = code;
    this.suggestion = suggestion;
    this.step = step;
  }
}

export function datasetUnavailable(message: string): JobFailure {
  return new JobFailure("dataset_unavailable", message, "Upload it again and post the job anew.");
}

export function unreadable(
  step: number,
  why: string,
  suggestion = "Post the job again; it starts from the beginning.",
): JobFailure {
  return new JobFailure(
    "checkpoint_unreadable",
    `The checkpoint of step ${step} cannot be read: ${why}.`,
    suggestion,
    step,
  );
}

export function diverged({ finding, step, changes }: Extract<Outcome, { type: "diverged" }>): JobFailure {
  const stepsBack = changes.map((change) => change.step);
  return new JobFailure(
    "diverged",
    `${finding.message}${rewindsBefore(stepsBack)}`,
    `${finding.remedy}${widerWindow(stepsBack)}`,
    step,
  );
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

/** A fault of ours, not of the job. */
export function unexpected(error: unknown): JobFailure {
  if (error instanceof ThreadFailed) return new JobFailure("thread_failed", error.message);
  return new JobFailure("internal", `Something went wrong in the worker: ${(error as Error).message}`);
}
