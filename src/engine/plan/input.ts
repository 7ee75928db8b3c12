import { batchRows } from "../job.ts";
import type { TargetShape } from "../losses/loss.ts";
import type { NamedValue } from "./graph.ts";
import type { JobSettings, Training } from "../settings.ts";
import type { PlanInput, PlannedTraining } from "./shapes.ts";

/** What a plan needs to know of the data. */
export interface PlanData {
  readonly inputs: readonly NamedValue[];
  readonly target: TargetShape;
  readonly trainRows: number;
  /** The rows of an evaluation, whichever has the most. */
  readonly evaluatedRows: number;
}

/** The part of a job on which its plan depends. A spec that is only checked may lack `training`. */
export type PlanSettings = Pick<JobSettings, "model" | "loss" | "optimizer" | "groups" | "observe" | "keepBest"> & {
  readonly training?: PlannedTraining & Pick<Training, "batch_size" | "drop_last">;
};

/** The rest of the training does not change the plan, and must not tell two inputs apart. */
function plannedTraining({
  gradient_accumulation_steps,
  clip_grad_adaptive,
  gradient_noise,
  averaging,
}: PlannedTraining): PlannedTraining {
  return { gradient_accumulation_steps, clip_grad_adaptive, gradient_noise, averaging };
}

/** The input of a job's plan, when it is checked and when it runs. */
export function planInputOf(settings: PlanSettings, data: PlanData, threads: number): PlanInput {
  const { model, loss, optimizer, groups, observe, keepBest, training } = settings;
  const { trainRows } = data;
  const rows = training ? Math.min(trainRows, batchRows(training, trainRows)) : 1;
  return {
    model,
    loss,
    optimizer,
    groups,
    ...data,
    batchRows: rows,
    smallestBatch: training?.drop_last ? rows : trainRows % rows || rows,
    threads,
    keepBest,
    training: training && plannedTraining(training),
    observed: observe != null,
  };
}
