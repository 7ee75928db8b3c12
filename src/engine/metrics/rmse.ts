import { defineMetric } from "./metric.ts";
import { squaredError } from "./rows.ts";

export const rmse = defineMetric({
  type: "rmse",
  better: "min",
  of: "value",
  meaning: "root of the mean squared error in the data's units",
  compute: (rows) => Math.sqrt(squaredError(rows) / rows.of("target").length) * rows.std,
});
