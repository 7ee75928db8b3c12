/** What a run records about its model besides the weights. */
import type { EvaluationReport, Split } from "../contract/wire/evaluation.ts";
import type { ModelNotes } from "../contract/model-notes.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import { toSummary, type SummaryFields } from "./record.ts";

/** `evaluation` is not part of the description. Jobs of earlier versions lack it. */
export interface ModelRecord extends ModelNotes {
  evaluation?: Readonly<Record<Split, EvaluationReport | null>>;
}

/** `model` is the text of a ModelRecord. */
export function describe(id: string, { model, ...fields }: SummaryFields & { model: string | null }) {
  if (model === null) return null;
  const { evaluation: _, ...notes } = JSON.parse(model) as ModelRecord;
  const job = toSummary(id, fields);
  const description: ModelDescription = {
    job_id: id,
    weights_sha256: job.result!.weights_sha256,
    spec_sha256: job.spec_sha256,
    arithmetic_version: job.arithmetic_version,
    arithmetic_changes: job.arithmetic_changes,
    ...notes,
    metrics: job.result!.metrics,
  };
  return description;
}
