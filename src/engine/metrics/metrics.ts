/** The metrics of an evaluation by the names that specs and series have for them. */
import { hasLogLoss } from "../losses/targets.ts";
import type { Direction, MetricType, RowFacts } from "./metric.ts";
import { metrics } from "./registry.generated.ts";
import type { EvaluatedRows } from "./rows.ts";

const PREFIX = "valid_";

/** What a loss tells of the metrics that go with it. */
type Judge = Parameters<typeof hasLogLoss>[0];

export const metricNames = Object.keys(metrics).map((type) => `${PREFIX}${type}`);

/** What each metric means, by name. */
export const metricMeanings: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(metrics).map(({ type, meaning }) => [`${PREFIX}${type}`, meaning]),
);

/**
 * The metrics under a loss. `classes` is how many its target has, and Infinity if that is not
 * known; a probability counts as two classes.
 */
export function metricsUnder(loss: Judge, classes: number): string[] {
  return those(loss, classes).map(({ type }) => `${PREFIX}${type}`);
}

/** Targets that are neither classes nor values have the loss alone. */
function those(loss: Judge, classes: number): MetricType[] {
  const { targets } = loss;
  const task = targets === "probability" ? "class" : targets;
  const count = targets === "probability" ? 2 : classes;
  return Object.values(metrics).filter(
    ({ of, leastClasses = 0, ofProbabilities = false }) =>
      of === "any" || (of === task && count >= leastClasses && (hasLogLoss(loss) || !ofProbabilities)),
  );
}

/** The metrics of rows. One that is undefined is NaN. */
export function computeMetrics(rows: EvaluatedRows, loss: Judge, side: "valid" | "test"): Record<string, number> {
  const own = those(loss, rows.classes ?? 0);
  return Object.fromEntries(own.map((metric) => [`${side}_${metric.type}`, metric.compute(rows)]));
}

/** Of numbers that are no metric, such as train_loss, this is null. */
function metricOf(name: string): MetricType | null {
  return metricNames.includes(name) ? metrics[name.slice(PREFIX.length)] : null;
}

/**
 * Why a metric is undefined or useless for such rows. Null if it is neither, or if nothing is known
 * of the targets. `classes` is null for values.
 */
export function whyUndefined(name: string, classes: number | null, facts: RowFacts): string | null {
  const metric = metricOf(name);
  if (metric === null) return null;
  const { leastClasses = 0 } = metric;
  if (classes !== null && classes < leastClasses)
    return `the target has ${classes} classes, and it takes at least ${leastClasses}`;
  return metric.whyUndefined?.(facts) ?? null;
}

/** Of other numbers, such as train_loss, lower is better. */
export function directionOf(name: string): Direction {
  return metricOf(name)?.better ?? "min";
}

/** The fault of a `mode` that is neither null nor the metric's own. Null: no fault. */
export function modeFault(name: string, mode: Direction | null): string | null {
  const own = directionOf(name);
  if (mode === null || mode === own) return null;
  return `must be ${JSON.stringify(own)}, or left out: ${name} gets better as it ${own === "max" ? "rises" : "falls"}`;
}
