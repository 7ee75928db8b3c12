/** The numbers that an evaluation gives, and which way each of them gets better. */

export type Direction = "min" | "max";

export const metricDirections = {
  valid_loss: "min",
  valid_accuracy: "max",
  valid_macro_f1: "max",
  valid_r2: "max",
  valid_mae: "min",
} as const satisfies Record<string, Direction>;

export type MetricName = keyof typeof metricDirections;

export const metricNames = Object.keys(metricDirections) as MetricName[];

/** Of any other number that training gives, such as train_loss, less is better. */
export function directionOf(metric: string): Direction {
  return Object.hasOwn(metricDirections, metric) ? metricDirections[metric as MetricName] : "min";
}

/** What is wrong with a `mode` that is not null and not the metric's own; null: nothing. */
export function modeFault(metric: string, mode: Direction | null): string | null {
  const own = directionOf(metric);
  if (mode === null || mode === own) return null;
  return `must be ${JSON.stringify(own)}, or left out: ${metric} gets better as it ${own === "max" ? "rises" : "falls"}`;
}
