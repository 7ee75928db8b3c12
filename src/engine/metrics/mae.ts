import { defineMetric } from "./metric.ts";

export const mae = defineMetric({
  type: "mae",
  better: "min",
  of: "value",
  meaning: "mean absolute error in the data's units",
  compute(rows) {
    const [targets, predictions] = [rows.of("target"), rows.of("prediction")];
    const sum = targets.reduce((total, target, row) => total + Math.abs(target - predictions[row]), 0);
    return (sum / targets.length) * rows.std;
  },
});
