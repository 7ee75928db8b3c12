/**
 * The metrics of an evaluation: what each means, for which targets it exists, and whether higher or
 * lower is better. Definitions are scikit-learn's where it has the metric (evaluation.ts).
 */
import { MAX_SCORES } from "./classification.ts";
import type { TargetKind } from "../training.ts";

export type Direction = "min" | "max";

interface Metric {
  readonly better: Direction;
  /** The kind of target that has this metric. A probability has the metrics of a class. */
  readonly of: "any" | "class" | "value";
  readonly meaning: string;
}

const metrics = {
  loss: { better: "min", of: "any", meaning: "mean loss of an evaluation, as all that begins with valid_" },
  accuracy: { better: "max", of: "class", meaning: "part of the rows whose class is predicted" },
  macro_f1: { better: "max", of: "class", meaning: "mean of F1 over the classes" },
  precision: {
    better: "max",
    of: "class",
    meaning:
      "mean over the classes of the part that is right of the rows predicted to be of the class; 0 if there are none",
  },
  recall: {
    better: "max",
    of: "class",
    meaning: "mean over the classes of the part that is predicted of the class' rows; 0 if there are none",
  },
  auc: {
    better: "max",
    of: "class",
    meaning:
      "area under the ROC curve: of two classes that of the second; of more the mean over the classes of each against the rest; ties count half",
  },
  log_loss: {
    better: "min",
    of: "class",
    meaning: "mean of −ln of the probability of the row's class, without class weights and label smoothing",
  },
  r2: {
    better: "max",
    of: "value",
    meaning:
      "share of the target's variance that is explained; of a target that does not vary 1 if every row is right, else 0",
  },
  mae: { better: "min", of: "value", meaning: "mean absolute error in the data's units" },
  rmse: { better: "min", of: "value", meaning: "root of the mean squared error in the data's units" },
} as const satisfies Record<string, Metric>;

type Name = keyof typeof metrics;
export type MetricName = `valid_${Name}`;

const names = Object.keys(metrics) as Name[];

export const metricNames = names.map((name): MetricName => `valid_${name}`);

/** What each metric means, by name. */
export const metricMeanings = Object.fromEntries(
  names.map((name) => [`valid_${name}`, metrics[name].meaning]),
) as Record<MetricName, string>;

/** The metrics that targets of a kind have. */
export function metricsOfTargets(targets: TargetKind): MetricName[] {
  const task = targets === "value" ? "value" : "class";
  return names
    .filter((name) => metrics[name].of === "any" || metrics[name].of === task)
    .map((name) => `valid_${name}` as const);
}

/** What is known of the targets before an evaluation. */
export interface TargetFacts {
  /** Not all targets are equal. */
  readonly vary: boolean;
  /** At least one target is a probability between 0 and 1, which is no class. */
  readonly between: boolean;
}

/**
 * Why a metric is undefined or useless for rows with such targets. Null if it is neither, or if
 * nothing is known of the targets.
 */
export function whyUndefined(metric: string, targets: TargetFacts | null, isScored: boolean): string | null {
  if (metric === "valid_auc" && !isScored)
    return `the rows that validate have more than ${MAX_SCORES} scores (rows × classes)`;
  if (targets === null) return null;
  const needsClasses = metrics[metric.slice("valid_".length) as Name].of === "class" && metric !== "valid_log_loss";
  if (needsClasses && targets.between) return "a row that validates has a target between 0 and 1, which is no class";
  if (metric === "valid_auc" && !targets.vary) return "all rows that validate are of one class";
  if (metric === "valid_r2" && !targets.vary) return "all rows that validate have the same target";
  return null;
}

/** Of other numbers, such as train_loss, lower is better. */
export function directionOf(metric: string): Direction {
  return metricNames.includes(metric as MetricName) ? metrics[metric.slice("valid_".length) as Name].better : "min";
}

/** The fault of a `mode` that is neither null nor the metric's own. Null: no fault. */
export function modeFault(metric: string, mode: Direction | null): string | null {
  const own = directionOf(metric);
  if (mode === null || mode === own) return null;
  return `must be ${JSON.stringify(own)}, or left out: ${metric} gets better as it ${own === "max" ? "rises" : "falls"}`;
}
