import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, t_0 = 10 and t_mult = 2: half a cosine wave from 0.1 towards 0 over the steps
 * 0..9, another over 10..29, and another over 30..69. A wave would reach eta_min at the step where
 * the next wave starts again from lr.
 */
export const cosine_annealing_warm_restarts = defineSchedule({
  type: "cosine_annealing_warm_restarts",
  summary:
    "Cosine annealing with restarts: the rate falls, jumps back to lr and falls again, each time over a longer period if t_mult is above 1.",
  formula:
    "eta_min + (lr − eta_min) · (1 + cos(π s/p))/2; s steps since the last restart, periods p = t_0, t_0·t_mult, …",
  source: "Loshchilov & Hutter 2017, arXiv:1608.03983; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
  options: {
    t_0: { kind: "integer", min: 1, doc: "Steps (or epochs) until the first restart." },
    t_mult: { kind: "integer", default: 1, min: 1, doc: "Factor by which each period is longer than the one before." },
    eta_min: { kind: "number", default: 0, min: 0, doc: "The rate that each period falls towards." },
  },
  setsRate: ({ eta_min }) => eta_min > 0,
  rate({ t_0, t_mult, eta_min }, { kernels, base, t }) {
    const { since, period } = lastRestart(t, t_0, t_mult);
    return eta_min + ((base - eta_min) * (1 + kernels.cos((Math.PI * since) / period))) / 2;
  },
});

/** It counts in integers, because a logarithm would be off by one at some restarts. */
function lastRestart(t: number, first: number, factor: number): { since: number; period: number } {
  if (factor === 1) return { since: t % first, period: first };
  let since = t;
  let period = first;
  for (; since >= period; period *= factor) since -= period;
  return { since, period };
}
