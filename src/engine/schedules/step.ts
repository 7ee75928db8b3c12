import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, step_size = 30 and gamma = 0.1: 0.1 at t = 0..29, 0.01 at 30..59, 0.001 from 60
 * on.
 */
export const step = defineSchedule({
  type: "step",
  summary: "The rate drops by a factor at regular intervals.",
  formula: "lr · gamma^⌊t/step_size⌋",
  source: "torch.optim.lr_scheduler.StepLR",
  options: {
    step_size: { kind: "integer", min: 1, doc: "Steps (or epochs) between two drops." },
    gamma: { kind: "number", default: 0.1, min: 0, doc: "Factor of each drop." },
  },
  ends: ({ step_size }) => ({ at: step_size, option: "step_size", after: null }),
  rate: ({ step_size, gamma }, { kernels, base, t }) => base * kernels.pow(gamma, Math.floor(t / step_size)),
});
