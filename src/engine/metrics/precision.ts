import { defineMetric, whyNoClass } from "./metric.ts";
import { classMean } from "./rows.ts";

export const precision = defineMetric({
  type: "precision",
  better: "max",
  of: "class",
  meaning:
    "mean over the classes of the part that is right of the rows predicted to be of the class; 0 if there are none",
  whyUndefined: whyNoClass,
  compute: (rows) => classMean(rows, (right, _present, predicted) => right / (predicted || 1)),
});
