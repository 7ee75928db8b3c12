/** What the engine trains for a spec, on the data that the spec names. */
import type { TrainingJob } from "../engine/job.ts";
import { scheduleType } from "../engine/schedules/learning-rate.ts";
import type { TrainingData } from "../engine/training.ts";
import type { ResolvedSpec, Spec } from "./schema/spec.ts";

/** Inferred options of its layers may be open. */
export type TrainingSpec = Pick<
  Spec,
  "data" | "model" | "loss" | "optimizer" | "parameter_groups" | "schedule" | "observe" | "detectors" | "checkpoint"
> &
  Pick<ResolvedSpec, "training">;

export function trainingJob(spec: TrainingSpec, data: TrainingData): TrainingJob {
  const { model, loss, optimizer, parameter_groups: groups, schedule, training, observe, detectors } = spec;
  const { augment } = spec.data;
  const keepBest = spec.checkpoint.keep_best;
  const watched = scheduleType(schedule).tests ? undefined : detectors;
  return { model, loss, optimizer, groups, schedule, training, keepBest, data, augment, observe, detectors: watched };
}
