import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, t_max = 100 and eta_min = 0: 0.1 at t = 0, 0.05 at 50, 0 at 100, and, as in
 * PyTorch, 0.1 again at 200.
 *
 * Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017
 * (arXiv:1608.03983), equation 5, without restarts.
 */
export const cosine_annealing = defineSchedule({
  type: "cosine_annealing",
  summary: "The rate falls along half a cosine wave: slowly, fast, slowly.",
  formula: "eta_min + (lr − eta_min) · (1 + cos(π t/t_max))/2",
  source: "Loshchilov & Hutter 2017, arXiv:1608.03983; torch.optim.lr_scheduler.CosineAnnealingLR",
  options: {
    t_max: {
      kind: "integer",
      default: null,
      whole: true,
      min: 1,
      doc: "Steps (or epochs) until the rate is eta_min; after that it rises again. Null: the whole training.",
    },
    eta_min: { kind: "number", default: 0, min: 0, doc: "The lowest rate." },
  },
  setsRate: ({ eta_min }) => eta_min > 0,
  ends: ({ t_max }) => ({ at: t_max, option: "t_max", after: "the rate rises again" }),
  rate: ({ t_max, eta_min }, { kernels, base, t }) =>
    eta_min + ((base - eta_min) * (1 + kernels.cos((Math.PI * t) / t_max))) / 2,
});
