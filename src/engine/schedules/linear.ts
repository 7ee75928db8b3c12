import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, start_factor = 1, end_factor = 0 and total_iters = 4: 0.1, 0.075, 0.05, 0.025, 0,
 * 0, …
 */
export const linear = defineSchedule({
  type: "linear",
  summary: "The rate moves in a straight line between two multiples of lr and stays at the second.",
  formula: "lr · (start_factor + (end_factor − start_factor) · min(t, total_iters)/total_iters)",
  source: "torch.optim.lr_scheduler.LinearLR",
  options: {
    start_factor: { kind: "number", default: 1 / 3, above: 0, max: 1, doc: "Factor of lr at the start." },
    end_factor: { kind: "number", default: 1, min: 0, max: 1, doc: "Factor of lr from total_iters on." },
    total_iters: {
      kind: "integer",
      default: null,
      whole: true,
      min: 1,
      doc: "Steps (or epochs) until end_factor is reached. Null: the whole training. PyTorch's default is 5.",
    },
  },
  ends: ({ start_factor, end_factor, total_iters }) => ({
    at: total_iters,
    option: "total_iters",
    after: end_factor < start_factor ? `the rate stays at ${end_factor} · lr` : null,
  }),
  rate: ({ start_factor, end_factor, total_iters }, { base, t }) =>
    base * (start_factor + ((end_factor - start_factor) * Math.min(t, total_iters)) / total_iters),
});
