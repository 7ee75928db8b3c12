/**
 * Faults of a training that only show when its rows are known. They need no schema: the threads
 * that train the models of a set look for them in each.
 */
import type { RowFacts } from "../../engine/metrics/metric.ts";
import { whyUndefined } from "../../engine/metrics/metrics.ts";
import { averagesBy } from "../../engine/step/averaging.ts";
import { watchedMetrics } from "../schema/watched.ts";
import type { Spec } from "../schema/spec.ts";
import type { Fault } from "./faults.ts";

/**
 * Faults of metrics that something depends on, but which are undefined on the rows that validate.
 * @param classes how many the target has; null: it is a value
 */
export function undefinedFaults(parts: Partial<Spec>, classes: number | null, facts: RowFacts): Fault[] {
  return watchedMetrics(parts).flatMap(({ metric, pointer, by }) => {
    const why = whyUndefined(metric, classes, facts);
    return why === null ? [] : [{ pointer, message: `names ${metric}, which ${by} cannot use: ${why}` }];
  });
}

export function averagingFaults({ averaging }: Pick<Spec["training"], "averaging">, steps: number): Fault[] {
  if (!averaging || averagesBy(averaging, steps) > 0) return [];
  const message = `leaves no step to average: the job has ${steps}`;
  return [{ pointer: "/training/averaging/start_step", message }];
}
