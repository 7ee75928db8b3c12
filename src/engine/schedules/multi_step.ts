import { milestonesPassed } from "./milestones.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, milestones = [30, 80] and gamma = 0.1: 0.1 at t = 0..29, 0.01 at 30..79, 0.001
 * from 80 on.
 */
export const multi_step = defineSchedule({
  type: "multi_step",
  summary: "The rate drops by a factor at chosen times.",
  formula: "lr · gamma^(number of milestones ≤ t)",
  source: "torch.optim.lr_scheduler.MultiStepLR",
  options: {
    milestones: { kind: "integers", length: null, min: 0, doc: "Steps (or epochs) at which the rate drops." },
    gamma: { kind: "number", default: 0.1, min: 0, doc: "Factor of each drop." },
  },
  ends: ({ milestones }) => ({ at: milestones[milestones.length - 1] ?? 0, option: "milestones", after: null }),
  rate: ({ milestones, gamma }, { kernels, base, t }) => base * kernels.pow(gamma, milestonesPassed(milestones, t)),
});
