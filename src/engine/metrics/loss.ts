import { defineMetric } from "./metric.ts";

export const loss = defineMetric({
  type: "loss",
  better: "min",
  of: "any",
  meaning: "mean loss of an evaluation, as all that begins with valid_",
  compute: (rows) => meanLoss(rows.of("loss"), rows.of("divisor")),
});

/** The mean of recorded losses. */
export function meanLoss(losses: Float64Array, divisors: Float64Array): number {
  let sum = 0;
  let divisor = 0;
  for (let row = 0; row < losses.length; row++) {
    sum += losses[row];
    divisor += divisors[row];
  }
  return sum / (divisor || 1);
}
