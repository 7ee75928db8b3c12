import { directionOf, metricNames, modeFault } from "../metrics/metrics.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, factor = 0.5 and patience = 2: after three values in a row that are no better than
 * the best before them the rate is 0.05, after three more 0.025, and so on down to min_lr.
 *
 * The values are those of the evaluations, or for train_loss a mean after every `every_steps`
 * steps. Values during a warm-up do not count.
 */
export const reduce_on_plateau = defineSchedule({
  type: "reduce_on_plateau",
  summary: "The rate drops by a factor whenever a metric no longer improves.",
  formula:
    "lr → max(lr · factor, min_lr) after more than patience values that are no better than best · (1 − threshold)",
  source: "torch.optim.lr_scheduler.ReduceLROnPlateau",
  options: {
    metric: {
      kind: "choice",
      choices: [...metricNames, "train_loss"],
      default: "valid_loss",
      doc: "The metric that is followed. All but train_loss need validation.",
    },
    every_steps: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Only with train_loss: its mean over this many steps is followed; null: over an epoch.",
    },
    mode: {
      kind: "choice",
      choices: ["min", "max"],
      default: null,
      doc: "Whether lower or higher is better. It must be the direction of the metric, which null stands for.",
    },
    factor: { kind: "number", default: 0.1, min: 0, below: 1, doc: "Factor of each drop." },
    patience: { kind: "integer", default: 10, min: 0, doc: "Number of values in a row that may be no better." },
    threshold: { kind: "number", default: 1e-4, min: 0, doc: "A value is better if it improves by more than this." },
    threshold_mode: {
      kind: "choice",
      choices: ["rel", "abs"],
      default: "rel",
      doc: "Whether threshold is a share of the best value (rel) or a difference from it (abs).",
    },
    cooldown: { kind: "integer", default: 0, min: 0, doc: "Number of values after a drop that do not count." },
    min_lr: { kind: "number", default: 0, min: 0, doc: "Lowest rate." },
    eps: { kind: "number", default: 1e-8, min: 0, doc: "Drops that are not larger than this are not made." },
  },
  check({ metric, every_steps, mode }) {
    const faults = [];
    const message = modeFault(metric, mode);
    if (message !== null) faults.push({ option: "mode", message });
    if (every_steps !== null && metric !== "train_loss") {
      const comes = `must be null: ${metric} comes from evaluations (training.eval_every_epochs)`;
      faults.push({ option: "every_steps", message: comes });
    }
    return faults;
  },
  rate: (_options, { base, state }) => (state === null ? base : state.lr!),
  follow(options, base, state, value) {
    const { lr, best, bad, cooldown } = state ?? { lr: base, best: null, bad: 0, cooldown: 0 };
    const better = isBetter(value, best, options);
    const waiting = cooldown! > 0;
    const worse = better || waiting ? 0 : bad! + 1;
    const next = { lr, best: better ? value : best, bad: worse, cooldown: waiting ? cooldown! - 1 : 0 };
    if (worse <= options.patience) return next;
    const lower = Math.max(lr! * options.factor, options.min_lr);
    return { ...next, lr: lr! - lower > options.eps ? lower : lr, bad: 0, cooldown: options.cooldown };
  },
});

/** Any finite value is better than none. A value that is not finite is never better. */
function isBetter(
  value: number,
  best: number | null,
  options: { metric: string; mode: "min" | "max" | null; threshold: number; threshold_mode: string },
): boolean {
  if (!Number.isFinite(value)) return false;
  if (best === null) return true;
  const { threshold, threshold_mode } = options;
  const mode = options.mode ?? directionOf(options.metric);
  const sign = mode === "min" ? -1 : 1;
  const bar = threshold_mode === "rel" ? best * (1 + sign * threshold) : best + sign * threshold;
  return mode === "min" ? value < bar : value > bar;
}
