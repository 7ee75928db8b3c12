import { defineSchedule } from "./schedule.ts";

/** With lr = 0.1, factor = 0.5 and total_iters = 2: 0.05, 0.05, 0.1, 0.1, … */
export const constant_factor = defineSchedule({
  type: "constant_factor",
  summary: "A fraction of lr for the first steps, then lr.",
  formula: "lr · factor for t < total_iters, then lr",
  source: "torch.optim.lr_scheduler.ConstantLR",
  options: {
    factor: { kind: "number", default: 1 / 3, min: 0, max: 1, doc: "Factor of lr in the first steps." },
    total_iters: { kind: "integer", default: 5, min: 0, doc: "Steps (or epochs) until the rate is lr." },
  },
  ends: ({ total_iters }) => ({ at: total_iters, option: "total_iters", after: null }),
  rate: ({ factor, total_iters }, { base, t }) => (t < total_iters ? base * factor : base),
});
