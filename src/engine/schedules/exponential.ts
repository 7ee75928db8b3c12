import { defineSchedule } from "./schedule.ts";

/** With lr = 0.1 and gamma = 0.9: 0.1, 0.09, 0.081, … */
export const exponential = defineSchedule({
  type: "exponential",
  summary: "The rate decays by the same factor every step (or epoch).",
  formula: "lr · gamma^t",
  source: "torch.optim.lr_scheduler.ExponentialLR",
  options: { gamma: { kind: "number", min: 0, doc: "Factor per step (or epoch)." } },
  rate: ({ gamma }, { kernels, base, t }) => base * kernels.pow(gamma, t),
});
