/** Why a job fails, in the words of its error. */
import { ThreadFailed } from "../engine/crew/hands.ts";
import { divergenceOf, type Outcome } from "../engine/crew/outcome.ts";
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

export function diverged(outcome: Extract<Outcome, { type: "diverged" }>): JobFailure {
  const { message, suggestion } = divergenceOf(outcome);
  return new JobFailure("diverged", message, suggestion, outcome.step);
}

/** A fault of ours, not of the job. */
export function unexpected(error: unknown): JobFailure {
  if (error instanceof ThreadFailed) return new JobFailure("thread_failed", error.message);
  return new JobFailure("internal", `Something went wrong in the worker: ${(error as Error).message}`);
}
