import { defineMetric, whyNoClass } from "./metric.ts";
import { sum } from "./rows.ts";

export const accuracy = defineMetric({
  type: "accuracy",
  better: "max",
  of: "class",
  meaning: "part of the rows whose class is predicted",
  whyUndefined: whyNoClass,
  compute: (rows) => (rows.counts === null ? Number.NaN : rows.counts.rightRows / sum(rows.weights)),
});
