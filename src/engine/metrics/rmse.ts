import { defineMetric } from "./metric.ts";
import { columnMeans, meanOfColumns } from "./rows.ts";

export const rmse = defineMetric({
  type: "rmse",
  better: "min",
  of: "value",
  meaning: "root of the mean squared error in the data's units, over all targets of a row",
  compute(rows) {
    const squares = columnMeans(rows, (target, prediction) => (target - prediction) * (target - prediction));
    const errors = squares.map((square, column) => Math.sqrt(square) * rows.std(column));
    return errors.length === 1 ? errors[0] : Math.sqrt(meanOfColumns(errors.map((error) => error * error)));
  },
});
