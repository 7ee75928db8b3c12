/** What a job's record says of its model. */
import { describedEncoding } from "../data/encode/described.ts";
import { NO_READING, type Reading } from "../data/reading.ts";
import { takenBy } from "../engine/plan/taken.ts";
import type { Job } from "../contract/wire/job.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import type { ModelSource, OneModel } from "./model.ts";

/** The parts of a job's spec that say how its model predicts. */
export type ModelSpec = Pick<Job["spec"], "data" | "model" | "loss">;

/** Of a table of a job that an earlier version trained. */
export const UNKNOWN_READING: Reading = { ...NO_READING, header: true, missing_values: null };

export function sourceOf(
  { data, model, loss }: ModelSpec,
  description: Pick<ModelDescription, "inputs" | "input" | "target" | "reading">,
  weights_sha256: string,
): ModelSource {
  const { missing } = data.preprocess;
  const { inputs, target, reading = UNKNOWN_READING } = describedEncoding(description, takenBy(model.layers));
  return {
    layers: model.layers,
    loss,
    inputs,
    target,
    window: data.window,
    reading,
    unseen: data.unseen,
    mayMiss: missing !== "error" && missing !== "drop_row",
    weights_sha256,
  };
}

/** A model as the store has it. */
interface Stored {
  readonly description: Parameters<typeof sourceOf>[1];
  readonly file: { readonly bytes: Uint8Array; readonly sha256: string };
}

export function oneModel(spec: ModelSpec, { description, file }: Stored): OneModel {
  return { source: sourceOf(spec, description, file.sha256), file: file.bytes };
}
