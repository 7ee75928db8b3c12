/** The metrics of evaluations that something in a spec depends on. */
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import type { Spec } from "./spec.ts";

export interface WatchedMetric {
  readonly metric: string;
  /** The place in the spec. */
  readonly pointer: string;
  /** What depends on the metric. */
  readonly by: "early stopping" | "pruning" | "keep_best" | "the schedule";
}

export function watchedMetrics({ training, checkpoint, schedule }: Partial<Spec>): WatchedMetric[] {
  const watched: WatchedMetric[] = [];
  const stopping = training?.early_stopping;
  if (stopping)
    watched.push({ metric: stopping.metric, pointer: "/training/early_stopping/metric", by: "early stopping" });
  else if (checkpoint?.keep_best)
    watched.push({ metric: "valid_loss", pointer: "/checkpoint/keep_best", by: "keep_best" });
  if (training?.pruning)
    watched.push({ metric: training.pruning.metric, pointer: "/training/pruning/metric", by: "pruning" });
  const followed = followedMetric(schedule);
  if (followed) watched.push({ metric: followed, pointer: "/schedule/metric", by: "the schedule" });
  return watched;
}

/** The metric of evaluations that a schedule follows; null if it follows none. */
export function followedMetric(schedule: Spec["schedule"] | undefined): string | null {
  if (!schedule || !scheduleType(schedule).follow || schedule.metric === "train_loss") return null;
  return schedule.metric as string;
}
