import { defineMetric } from "./metric.ts";
import { columnMeans, meanOfColumns } from "./rows.ts";

export const mae = defineMetric({
  type: "mae",
  better: "min",
  of: "value",
  meaning: "mean absolute error in the data's units, over all targets of a row",
  compute(rows) {
    const errors = columnMeans(rows, (target, prediction) => Math.abs(target - prediction));
    return meanOfColumns(errors.map((error, column) => error * rows.std(column)));
  },
});
