import { defineMetric, whyNoClass } from "./metric.ts";
import { classMean } from "./rows.ts";

export const macro_f1 = defineMetric({
  type: "macro_f1",
  better: "max",
  of: "class",
  meaning: "mean of F1 over the classes",
  whyUndefined: whyNoClass,
  compute: (rows) => classMean(rows, (right, present, predicted) => (2 * right) / (present + predicted)),
});
