import { defineMetric, whyNoClass } from "./metric.ts";
import { classMean } from "./rows.ts";

export const recall = defineMetric({
  type: "recall",
  better: "max",
  of: "class",
  meaning: "mean over the classes of the part that is predicted of the class' rows; 0 if there are none",
  whyUndefined: whyNoClass,
  compute: (rows) => classMean(rows, (right, present) => right / (present || 1)),
});
