import type { OptimizerType } from "./optimizers/optimizer.ts";
import type { JobSettings, Training } from "./settings.ts";
import type { TrainingData } from "./training.ts";

/** Everything that influences a job's numbers: from the resolved spec, and the data. */
export interface TrainingJob extends JobSettings {
  readonly data: TrainingData;
}

/** Whether the weights that are evaluated and served differ from those that are trained. */
export function evaluatesOthers(
  optimizer: Pick<OptimizerType, "evaluatesOthers">,
  { averaging = null }: Pick<Training, "averaging"> = {},
): boolean {
  return (optimizer.evaluatesOthers ?? false) || averaging !== null;
}

/** Rows of a batch: the last one of an epoch may have fewer. */
export function batchRows(training: Pick<Training, "batch_size">, trainRows: number): number {
  return training.batch_size === "full" ? trainRows : training.batch_size;
}

export function batchesPerEpoch(training: Pick<Training, "batch_size" | "drop_last">, trainRows: number): number {
  const batches = trainRows / batchRows(training, trainRows);
  return training.drop_last ? Math.floor(batches) : Math.ceil(batches);
}

/** Batches of a step: the last one of an epoch may have fewer. */
export function batchesPerStep({
  gradient_accumulation_steps = 1,
}: Pick<Training, "gradient_accumulation_steps">): number {
  return gradient_accumulation_steps;
}

export function stepsPerEpoch(
  training: Pick<Training, "batch_size" | "drop_last" | "gradient_accumulation_steps">,
  trainRows: number,
): number {
  return Math.ceil(batchesPerEpoch(training, trainRows) / batchesPerStep(training));
}
