import { defineMetric } from "./metric.ts";
import { meanLogLoss } from "./rows.ts";

export const perplexity = defineMetric({
  type: "perplexity",
  better: "min",
  of: "class",
  ofProbabilities: true,
  meaning: "e to the power of the log loss: among so many classes the model is undecided, on average",
  compute: (rows) => rows.exp(meanLogLoss(rows)),
});
