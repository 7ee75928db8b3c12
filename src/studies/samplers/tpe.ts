import { Parzen } from "../parzen.ts";
import { insert, learned } from "../learned.ts";
import { compare } from "../ranking.ts";
import { positionOf, type Parameter } from "../space.ts";
import type { EndedTrial } from "../study.ts";
import { defineSampler, type SoFar } from "./sampler.ts";

/** Most of the best trials, and of the others, that the densities are made of. */
const MOST_GOOD = 25;
const MOST_OTHERS = 1000;

/**
 * The tree-structured Parzen estimator, as Optuna 5 has it: parameters that every trial has are
 * sampled together, conditional ones each for itself, from the trials that have them. Trials that
 * still run count among the others ("constant liar"), so that trials at the same time differ.
 *
 * Bergstra, Bardenet, Bengio & Kégl, "Algorithms for Hyper-Parameter Optimization", NIPS 2011;
 * Watanabe, "Tree-structured Parzen estimator", 2023 (arXiv:2304.11127).
 */
export const tpe = defineSampler({
  type: "tpe",
  summary: "Tries values where good trials are dense and the others are not: the one to begin with.",
  formula: "the candidate with the largest log l(x) − log g(x); l: density of the best trials, g: of the others",
  source: "Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127; optuna.samplers.TPESampler",
  options: {
    startup_trials: { kind: "integer", default: 10, min: 1, max: 10_000, doc: "Trials with random values at first." },
    candidates: { kind: "integer", default: 24, min: 1, max: 1000, doc: "Values of which the best are taken." },
    gamma: { kind: "number", default: 0.1, above: 0, max: 0.5, doc: "Share of the trials that count as good." },
  },
  learn: (study, ended) => void seenIn(study, ended),
  sample({ startup_trials, candidates, gamma }, so) {
    const { parameters } = so.study;
    const seen = seenIn(so.study, so.ended);
    const positions = parameters.map(() => so.draws.uniform());
    if (seen.usable < startup_trials) return positions;
    const [good, others] = split(seen, so.started, gamma);
    const set = (some: readonly Parameter[]) => {
      const found = best(some, good, others, candidates, so);
      some.forEach((parameter, i) => (positions[parameters.indexOf(parameter)] = found[i]));
    };
    const isConditional = ({ when }: Parameter) => Object.keys(when).length > 0;
    const common = parameters.filter((parameter) => !isConditional(parameter));
    if (common.length > 0) set(common);
    for (const parameter of parameters.filter(isConditional)) set([parameter]);
    return positions;
  },
});

type Values = EndedTrial["values"];

interface Seen {
  /** Trials that succeeded or were pruned. */
  usable: number;
  /** Trials that were not cancelled, and the places of the best of them, the best first. */
  readonly kept: EndedTrial[];
  readonly best: number[];
}

const seenIn = learned<Seen>(
  () => ({ usable: 0, kept: [], best: [] }),
  (seen, trial, _number, { direction }) => {
    if (trial.status === "cancelled") return;
    if (trial.status !== "failed") seen.usable++;
    seen.kept.push(trial);
    insert(seen.best, seen.kept.length - 1, (i, j) => compare(direction, seen.kept[i], seen.kept[j]));
    if (seen.best.length > MOST_GOOD) seen.best.pop();
  },
);

/** The values of the best trials and of the others, both in the order of the trials. */
function split({ kept, best }: Seen, started: readonly Values[], gamma: number): [Values[], Values[]] {
  const good = best.slice(0, Math.min(MOST_GOOD, Math.ceil(gamma * kept.length))).toSorted((i, j) => i - j);
  const isGood = new Set(good);
  const others: Values[] = [];
  for (let i = kept.length - 1; i >= 0 && others.length < MOST_OTHERS; i--)
    if (!isGood.has(i)) others.push(kept[i].values);
  return [good.map((i) => kept[i].values), [...others.reverse(), ...started].slice(-MOST_OTHERS)];
}

function best(
  parameters: readonly Parameter[],
  good: readonly Values[],
  others: readonly Values[],
  candidates: number,
  { draws }: SoFar,
): readonly number[] {
  const domains = parameters.map(({ domain }) => domain);
  const [low, high] = [good, others].map((trials) => new Parzen(domains, observedIn(parameters, trials)));
  let found: readonly number[] = [];
  let most = -Infinity;
  for (let i = 0; i < candidates; i++) {
    const candidate = low.sample(draws);
    const gain = low.logDensity(candidate) - high.logDensity(candidate);
    if (found.length > 0 && !(gain > most)) continue;
    found = candidate;
    most = gain;
  }
  return found;
}

/** The positions of the trials that have all of these parameters. */
function observedIn(parameters: readonly Parameter[], trials: readonly Values[]): number[][] {
  return trials
    .filter((values) => parameters.every(({ pointer }) => Object.hasOwn(values, pointer)))
    .map((values) => parameters.map(({ pointer, domain }) => positionOf(domain, values[pointer])));
}
