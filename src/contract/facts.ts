/**
 * Facts of the contract that need no schema. The threads of lanes know them, and load no zod: that
 * would take a third of their memory.
 */
export { FIRST_READING } from "../data/reading.ts";

/** A timer of more than 2^31 − 1 milliseconds fires at once, again and again. */
export const MAX_SECONDS = 1_000_000;
/** How many predictions an owner may have, those that have ended included. */
export const MAX_PREDICTIONS = 1000;

export const JOB_STATUSES = [
  "queued",
  "running",
  "pausing",
  "paused",
  "cancelling",
  "succeeded",
  "failed",
  "cancelled",
] as const;

/** Why jobs fail. */
export const FAILURE_CODES = [
  "diverged",
  "crash_loop",
  "dataset_unavailable",
  "thread_failed",
  "checkpoint_unreadable",
  "results_unreadable",
  "over_limit",
  "internal",
] as const;

/** The datasets that a spec names; none if the rows came with it. */
export function datasetIds({ dataset }: { readonly dataset?: string | readonly string[] }): string[] {
  return dataset === undefined ? [] : [dataset].flat();
}
