import { definePruner } from "./pruner.ts";
import { halving, ladder } from "./rungs.ts";

/**
 * Trials are dealt out to brackets. Bracket b has its first rung at min_epochs · factor^b, and the
 * share of all trials that it has in Hyperband. Each bracket halves its own trials, as asha does.
 * The last bracket never stops a trial.
 *
 * With factor = 3 and 9 epochs: of 17 trials 9, 5 and 3, with rungs at 1 and 3, at 3, and none.
 *
 * Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18
 * (2018), with halving as in Li et al. 2020.
 */
export const hyperband = definePruner({
  type: "hyperband",
  summary: "Successive halving with several first rungs: for objectives that early epochs may not foretell.",
  formula: "⌈(s_max + 1)/(s + 1) · factor^s⌉ trials to bracket s_max − s, which halves as asha does",
  source: "Li et al. 2018; optuna.pruners.HyperbandPruner",
  options: {
    min_epochs: { kind: "integer", default: 1, min: 1, doc: "The first rung of the first bracket." },
    factor: { kind: "integer", default: 3, min: 2, max: 100, doc: "One of so many trials goes on at each rung." },
  },
  rungs({ min_epochs, factor }, { direction, epochs }, number, ended) {
    const all = ladder(min_epochs, factor, epochs);
    const brackets = dealt(number + 1, all.length, factor);
    const bracket = brackets[number];
    const own = ended.filter((_, i) => brackets[i] === bracket);
    return halving(direction, all.slice(bracket), factor, own);
  },
});

/** The brackets of the first trials. Each goes to the bracket that lacks most of its share. */
function dealt(count: number, most: number, factor: number): number[] {
  let power = 1;
  const shares = Array.from({ length: most + 1 }, (_, s) => {
    if (s > 0) power *= factor;
    return Math.ceil(((most + 1) / (s + 1)) * power);
  }).reverse();
  const given = shares.map(() => 0);
  return Array.from({ length: count }, () => {
    let next = 0;
    for (let b = 1; b < shares.length; b++) if ((given[b] + 1) / shares[b] < (given[next] + 1) / shares[next]) next = b;
    given[next]++;
    return next;
  });
}
