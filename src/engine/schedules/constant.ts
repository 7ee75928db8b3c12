import { defineSchedule } from "./schedule.ts";

/** The rate never changes. */
export const constant = defineSchedule({
  type: "constant",
  summary: "The same rate throughout, after the warm-up if there is one.",
  formula: "lr",
  source: "no scheduler in PyTorch",
  options: {},
  rate: (_options, { base }) => base,
});
