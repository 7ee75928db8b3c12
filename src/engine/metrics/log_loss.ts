import { defineMetric } from "./metric.ts";
import { meanLogLoss } from "./rows.ts";

export const log_loss = defineMetric({
  type: "log_loss",
  better: "min",
  of: "class",
  ofProbabilities: true,
  meaning: "mean of −ln of the probability of the row's class, without class weights and label smoothing",
  compute: meanLogLoss,
});
