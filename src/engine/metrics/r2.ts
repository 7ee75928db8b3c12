import { defineMetric } from "./metric.ts";
import { squaredError } from "./rows.ts";

export const r2 = defineMetric({
  type: "r2",
  better: "max",
  of: "value",
  meaning:
    "share of the target's variance that is explained; of a target that does not vary 1 if every row is right, else 0",
  whyUndefined: ({ targets }) => (targets && !targets.vary ? "all rows that validate have the same target" : null),
  compute(rows) {
    const targets = rows.of("target");
    const mean = targets.reduce((sum, target) => sum + target, 0) / targets.length;
    const total = targets.reduce((sum, target) => sum + (target - mean) * (target - mean), 0);
    const residual = squaredError(rows);
    // Without variance the residual is zero or everything; NaN stays NaN.
    return 1 - (total === 0 ? Math.sign(residual) : residual / total);
  },
});
