import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1 and warmup = 4: 0.025, 0.05, 0.075, 0.1, then 0.0894 at t = 4, 0.05 at 15, 0.025 at
 * 63.
 */
export const inverse_sqrt = defineSchedule({
  type: "inverse_sqrt",
  summary: "A linear rise to lr, then a fall with the square root of the time: for trainings whose end is not known.",
  formula: "lr · min((t+1)/warmup, √(warmup/(t+1)))",
  source: "Raffel et al. 2020, arXiv:1910.10683 (T5); fairseq's inverse_sqrt",
  options: { warmup: { kind: "integer", min: 1, doc: "Steps (or epochs) until lr is reached." } },
  ends: ({ warmup }) => ({ at: warmup, option: "warmup", after: null }),
  rate: ({ warmup }, { base, t }) => base * Math.min((t + 1) / warmup, Math.sqrt(warmup / (t + 1))),
});
