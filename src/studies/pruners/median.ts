import { definePruner } from "./pruner.ts";
import { reachedIn } from "./rungs.ts";

/** A curve of at most so many rungs is compared, unless `interval_epochs` says otherwise. */
const RUNGS = 20;
/** Thresholds are part of the spec of each trial. */
const MOST_RUNGS = 1000;

/**
 * Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2,
 * as Optuna's MedianPruner has it.
 */
export const median = definePruner({
  type: "median",
  summary: "Stops a trial that is worse than half of the trials before it were at the same epoch.",
  formula: "threshold at an epoch = the median of the objective of earlier trials there",
  source: "Golovin et al. 2017; optuna.pruners.MedianPruner",
  options: {
    startup_trials: { kind: "integer", default: 5, min: 1, max: 10_000, doc: "Trials that must have reached a rung." },
    warmup_epochs: { kind: "integer", default: 1, min: 1, doc: "The first rung." },
    interval_epochs: {
      kind: "integer",
      default: null,
      min: 1,
      doc: `Epochs from one rung to the next. Null: so that there are at most ${RUNGS}.`,
    },
  },
  check({ warmup_epochs, interval_epochs }, { epochs }) {
    const rungs = (epochs - warmup_epochs) / (interval_epochs ?? epochs);
    if (rungs <= MOST_RUNGS) return [];
    const least = Math.ceil((epochs - warmup_epochs) / MOST_RUNGS);
    return [{ option: "interval_epochs", message: `must be at least ${least} for ${epochs} epochs` }];
  },
  learn: (study, ended) => void reachedIn(study, ended),
  rungs({ startup_trials, warmup_epochs, interval_epochs }, study, _number, ended) {
    const { epochs } = study;
    const reached = reachedIn(study, ended);
    const interval = interval_epochs ?? Math.max(1, Math.ceil(epochs / RUNGS));
    const rungs = [];
    for (let epoch = warmup_epochs; epoch < epochs; epoch += interval) {
      const values = reached.at(epoch);
      const value = values.length < startup_trials ? null : values[Math.floor((values.length - 1) / 2)];
      rungs.push({ epoch, value });
    }
    return rungs;
  },
});
