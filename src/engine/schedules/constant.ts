import { defineSchedule } from "./schedule.ts";

/** The rate never changes. */
export const constant = defineSchedule({
  type: "constant",
  summary: "The same rate throughout; with warmup_steps a warm-up before it.",
  formula: "lr",
  source: "no scheduler in PyTorch",
  options: {},
  rate: (_options, { base }) => base,
});
