import { defineMetric } from "./metric.ts";
import type { EvaluatedRows } from "./rows.ts";

export const r2 = defineMetric({
  type: "r2",
  better: "max",
  of: "value",
  meaning:
    "share of the target's variance that is explained, of several targets the share of their variances together in the data's units; of a target that does not vary 1 if every row is right, else 0",
  whyUndefined: ({ targets }) => (targets && !targets.vary ? "all rows that validate have the same target" : null),
  compute(rows) {
    let total = 0;
    let residual = 0;
    for (let column = 0; column < rows.columns; column++) {
      // In the units of the first column, so that a single column keeps its bits.
      const ratio = rows.std(column) / rows.std(0);
      const unit = ratio * ratio;
      const sums = sumsOf(rows, column);
      total += unit * sums.total;
      residual += unit * sums.residual;
    }
    // Without variance the residual is zero or everything; NaN stays NaN.
    return 1 - (total === 0 ? Math.sign(residual) : residual / total);
  },
});

/** Of a column: the squared deviations of the targets from their mean, and the squared errors. */
function sumsOf(rows: EvaluatedRows, column: number): { total: number; residual: number } {
  const [targets, predictions] = [rows.of("target"), rows.of("prediction")];
  const { columns } = rows;
  const { weights } = rows;
  let sum = 0;
  let weight = 0;
  for (let i = column; i < targets.length; i += columns) {
    sum += weights[i] * targets[i];
    weight += weights[i];
  }
  const mean = sum / weight;
  let total = 0;
  let residual = 0;
  for (let i = column; i < targets.length; i += columns) {
    total += weights[i] * (targets[i] - mean) * (targets[i] - mean);
    residual += weights[i] * (targets[i] - predictions[i]) * (targets[i] - predictions[i]);
  }
  return { total, residual };
}
