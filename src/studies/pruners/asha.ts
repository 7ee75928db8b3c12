import { definePruner } from "./pruner.ts";
import { halving, ladder, reachedIn } from "./rungs.ts";

/**
 * Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020
 * (arXiv:1810.05934), in the form that stops trials and never promotes them later.
 */
export const asha = definePruner({
  type: "asha",
  summary: "Asynchronous successive halving: most trials stop after a few epochs.",
  formula: "rungs at min_epochs · factor^k; threshold = the value that 1/factor of earlier trials there reached",
  source: "Li et al. 2020, arXiv:1810.05934; optuna.pruners.SuccessiveHalvingPruner",
  options: {
    min_epochs: { kind: "integer", default: 1, min: 1, doc: "The first rung." },
    factor: { kind: "integer", default: 3, min: 2, max: 100, doc: "One of so many trials goes on at each rung." },
  },
  learn: (study, ended) => void reachedIn(study, ended),
  rungs: ({ min_epochs, factor }, study, _number, ended) =>
    halving(ladder(min_epochs, factor, study.epochs), factor, reachedIn(study, ended)),
});
