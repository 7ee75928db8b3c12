import { learned } from "../learned.ts";
import type { Study } from "../study.ts";
import { definePruner } from "./pruner.ts";
import { halving, ladder, Reached } from "./rungs.ts";

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
  learn: (study, ended) => void bracketsIn(study, ended),
  rungs(_options, study, number, ended) {
    const { dealt, reached } = bracketsIn(study, ended);
    const bracket = dealt.bracketOf(number);
    return halving(laddersOf(study)[bracket], study.pruner.factor as number, reached[bracket]);
  },
});

/** The rungs of each bracket. */
function laddersOf({ pruner: { min_epochs, factor }, epochs }: Study): number[][] {
  const all = ladder(min_epochs as number, factor as number, epochs);
  return Array.from({ length: all.length + 1 }, (_, bracket) => all.slice(bracket));
}

/** What the trials of each bracket reached. */
const bracketsIn = learned(
  (study) => {
    const brackets = laddersOf(study);
    const dealt = new Dealt(brackets.length, study.pruner.factor as number);
    return { dealt, reached: brackets.map(() => new Reached(study)) };
  },
  ({ dealt, reached }, trial, number) => reached[dealt.bracketOf(number)].add(trial),
);

/** The brackets of trials. Each trial goes to the bracket that lacks most of its share. */
class Dealt {
  readonly #shares: readonly number[];
  readonly #given: number[];
  readonly #brackets: number[] = [];

  constructor(brackets: number, factor: number) {
    let power = 1;
    this.#shares = Array.from({ length: brackets }, (_, s) => {
      if (s > 0) power *= factor;
      return Math.ceil((brackets / (s + 1)) * power);
    }).reverse();
    this.#given = this.#shares.map(() => 0);
  }

  bracketOf(number: number): number {
    const [shares, given] = [this.#shares, this.#given];
    while (this.#brackets.length <= number) {
      let next = 0;
      for (let b = 1; b < shares.length; b++)
        if ((given[b] + 1) / shares[b] < (given[next] + 1) / shares[next]) next = b;
      given[next]++;
      this.#brackets.push(next);
    }
    return this.#brackets[number];
  }
}
