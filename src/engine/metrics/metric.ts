import { MAX_SCORES } from "./scores.ts";
import type { EvaluatedRows } from "./rows.ts";

export type Direction = "min" | "max";

/**
 * What a metric of an evaluation is. Definitions are scikit-learn's where it has the metric. Series
 * have it as `valid_<type>`, and the test at the end as `test_<type>`.
 */
export interface MetricType {
  readonly type: string;
  readonly better: Direction;
  /** The kind of target that has this metric. A probability has the metrics of a class. */
  readonly of: "any" | "class" | "value";
  /** Whether it is computed from probabilities of classes. Default: no. */
  readonly ofProbabilities?: true;
  /** Targets with fewer classes do not have it. */
  readonly leastClasses?: number;
  readonly meaning: string;
  /** Why it is undefined or useless for such rows, whatever is predicted; null if it is neither. */
  whyUndefined?(facts: RowFacts): string | null;
  /** NaN if it is undefined. */
  compute(rows: EvaluatedRows): number;
}

/** What is known of the targets before an evaluation. */
export interface TargetFacts {
  /** Not all targets are equal. */
  readonly vary: boolean;
  /** At least one target is a probability between 0 and 1, which is no class. */
  readonly between: boolean;
}

/** What is known of the rows before an evaluation. */
export interface RowFacts {
  /** Null if nothing is known of them. */
  readonly targets: TargetFacts | null;
  /** Whether scores are recorded. */
  readonly isScored: boolean;
}

export function defineMetric(type: MetricType): MetricType {
  return type;
}

export function whyNoClass({ targets }: RowFacts): string | null {
  return targets?.between ? "a row that validates has a target between 0 and 1, which is no class" : null;
}

export function whyNoScores({ isScored }: RowFacts): string | null {
  return isScored ? null : `the rows that validate have more than ${MAX_SCORES} scores (rows × classes)`;
}
