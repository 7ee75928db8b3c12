import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1 and factor = 0.5: 0.1, 0.05, 0.025, … PyTorch takes a function of t. A spec is
 * data, so the factor is a number here.
 */
export const multiplicative = defineSchedule({
  type: "multiplicative",
  summary: "The rate is multiplied by the same factor every step (or epoch): exponential under another name.",
  formula: "lr · factor^t",
  source: "torch.optim.lr_scheduler.MultiplicativeLR with a constant factor",
  options: { factor: { kind: "number", min: 0, doc: "Factor per step (or epoch)." } },
  rate: ({ factor }, { kernels, base, t }) => base * kernels.pow(factor, t),
});
