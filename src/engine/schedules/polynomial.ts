import { defineSchedule } from "./schedule.ts";

/** With lr = 0.1, total_iters = 4 and power = 2: 0.1, 0.05625, 0.025, 0.00625, 0, 0, … */
export const polynomial = defineSchedule({
  type: "polynomial",
  summary: "The rate falls to 0 as a power of the time that is left; with power 1 in a straight line.",
  formula: "lr · (1 − min(t, total_iters)/total_iters)^power",
  source: "torch.optim.lr_scheduler.PolynomialLR",
  options: {
    total_iters: {
      kind: "integer",
      default: null,
      whole: true,
      min: 1,
      doc: "Steps (or epochs) until the rate is 0. Null: the whole training. PyTorch's default is 5.",
    },
    power: {
      kind: "number",
      default: 1,
      min: 0,
      doc: "1: the rate falls in a straight line; above 1: fast at first, then slowly.",
    },
  },
  ends: ({ total_iters }) => ({ at: total_iters, option: "total_iters", after: "the rate is 0" }),
  rate: ({ total_iters, power }, { kernels, base, t }) =>
    base * kernels.pow(1 - Math.min(t, total_iters) / total_iters, power),
});
