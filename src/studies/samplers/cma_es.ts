import type { OptionFault } from "../../engine/member/options.ts";
import { functionKernels } from "../../engine/kernels/kernels.ts";
import type { Draws } from "../draws.ts";
import { eigen, identity, type Matrix } from "../eigen.ts";
import { learned } from "../learned.ts";
import { ranked } from "../ranking.ts";
import { inside, positionOf } from "../space.ts";
import type { EndedTrial, Study } from "../study.ts";
import { defineSampler } from "./sampler.ts";

/** How often a point outside of the space is drawn again before it is moved to its border. */
const MOST_DRAWS = 100;

/**
 * Hansen's evolution strategy with covariance matrix adaptation, on the positions. A round is a
 * generation: its trials are drawn from a normal distribution, and when all have ended, the best
 * half moves and shapes it.
 *
 * Hansen, "The CMA Evolution Strategy: A Tutorial", 2016 (arXiv:1604.00772), figure 6.
 */
export const cma_es = defineSampler({
  type: "cma_es",
  summary: "Follows the shape of a smooth objective of numbers, over hundreds of trials.",
  formula: "x ~ N(m, σ²C); m, σ and C follow the best half of each generation",
  source: "Hansen 2016, arXiv:1604.00772",
  options: {
    population: {
      kind: "integer",
      default: null,
      min: 4,
      max: 1000,
      doc: "Trials of a generation. Null: 4 + ⌊3 ln n⌋.",
    },
    sigma: { kind: "number", default: 0.25, above: 0, max: 1, doc: "First deviation, as a share of each range." },
  },
  round: (_options, study) => populationOf(study),
  check(_options, { parameters }): OptionFault[] {
    const odd = parameters.find(({ domain, when }) => domain.kind === "choice" || Object.keys(when).length > 0);
    if (odd === undefined) return [];
    const why = odd.domain.kind === "choice" ? "is a choice" : "is conditional";
    return [{ option: "type", message: `searches only numbers, but ${odd.pointer} ${why}: use tpe` }];
  },
  learn: (study, ended) => void searchAfter(study, ended),
  sample: (_options, { study, ended, draws }) => drawFrom(searchAfter(study, ended).state, draws),
});

function populationOf({ sampler: { population }, parameters }: Study): number {
  return (population as number | null) ?? 4 + Math.floor(3 * functionKernels().log(parameters.length));
}

interface State {
  readonly mean: readonly number[];
  readonly sigma: number;
  readonly covariance: Matrix;
  readonly axes: ReturnType<typeof eigen>;
  readonly pathSigma: readonly number[];
  readonly pathCovariance: readonly number[];
}

interface Search {
  state: State;
  /** How many generations have ended, and the trials of the next one that have. */
  generation: number;
  trials: EndedTrial[];
}

/** Each generation's state follows from the one before. */
const searchAfter = learned<Search>(
  ({ parameters: { length: n }, sampler: { sigma } }) => {
    const first = { mean: zeros(n, 0.5), sigma: sigma as number, pathSigma: zeros(n), pathCovariance: zeros(n) };
    return { state: shaped(first, identity(n)), generation: 0, trials: [] };
  },
  (search, trial, _number, study) => {
    search.trials.push(trial);
    if (search.trials.length < populationOf(study)) return;
    search.state = next(search.state, study, search.trials, search.generation);
    search.generation++;
    search.trials = [];
  },
);

function shaped(rest: Omit<State, "covariance" | "axes">, covariance: Matrix): State {
  return { ...rest, covariance, axes: eigen(covariance) };
}

function drawFrom({ mean, sigma, axes: { values, vectors } }: State, draws: Draws): number[] {
  const roots = values.map((value) => Math.sqrt(Math.max(0, value)));
  let drawn: number[] = [];
  for (let i = 0; i < MOST_DRAWS; i++) {
    const normal = roots.map((root) => root * draws.normal());
    drawn = mean.map((middle, row) => middle + sigma * dot(vectors[row], normal));
    if (drawn.every((position) => position >= 0 && position < 1)) return drawn;
  }
  return drawn.map(inside);
}

/** One update of the distribution, in the notation of the tutorial. */
function next(state: State, study: Study, trials: readonly EndedTrial[], generation: number): State {
  const { log, exp, pow } = functionKernels();
  const n = study.parameters.length;
  const mu = Math.floor(trials.length / 2);
  const raw = Array.from({ length: mu }, (_, i) => log((trials.length + 1) / 2) - log(i + 1));
  const weights = raw.map((weight) => weight / sum(raw));
  const muEff = 1 / sum(weights.map((weight) => weight * weight));
  const cSigma = (muEff + 2) / (n + muEff + 5);
  const dSigma = 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma;
  const cC = (4 + muEff / n) / (n + 4 + (2 * muEff) / n);
  const c1 = 2 / ((n + 1.3) * (n + 1.3) + muEff);
  const cMu = Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((n + 2) * (n + 2) + muEff));
  const chi = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

  const best = ranked(study.direction, trials).slice(0, mu);
  const steps = best.map((i) =>
    study.parameters.map(
      ({ domain, pointer }, k) => (positionOf(domain, trials[i].values[pointer]) - state.mean[k]) / state.sigma,
    ),
  );
  const move = zeros(n).map((_, k) => sum(steps.map((step, i) => weights[i] * step[k])));
  const mean = state.mean.map((middle, k) => inside(middle + state.sigma * move[k]));
  const whitened = whiten(state.axes, move);
  const pathSigma = state.pathSigma.map(
    (path, k) => (1 - cSigma) * path + Math.sqrt(cSigma * (2 - cSigma) * muEff) * whitened[k],
  );
  const length = Math.sqrt(dot(pathSigma, pathSigma));
  const expected = Math.sqrt(1 - pow(1 - cSigma, 2 * (generation + 1)));
  const moves = length / expected < (1.4 + 2 / (n + 1)) * chi ? 1 : 0;
  const pathCovariance = state.pathCovariance.map(
    (path, k) => (1 - cC) * path + moves * Math.sqrt(cC * (2 - cC) * muEff) * move[k],
  );
  const kept = 1 - c1 - cMu + (1 - moves) * c1 * cC * (2 - cC);
  const covariance = state.covariance.map((row, i) =>
    row.map((value, j) => {
      const rankMu = sum(steps.map((step, k) => weights[k] * step[i] * step[j]));
      return kept * value + c1 * pathCovariance[i] * pathCovariance[j] + cMu * rankMu;
    }),
  );
  const sigma = Math.min(1, state.sigma * exp((cSigma / dSigma) * (length / chi - 1)));
  return shaped({ mean, sigma, pathSigma, pathCovariance }, covariance);
}

/** C^(−1/2) · move. */
function whiten({ values, vectors }: State["axes"], move: readonly number[]): number[] {
  const along = values.map(
    (value, k) => sum(move.map((x, row) => vectors[row][k] * x)) / Math.sqrt(Math.max(1e-20, value)),
  );
  return move.map((_, row) => dot(vectors[row], along));
}

const zeros = (n: number, value = 0) => Array.from({ length: n }, () => value);
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const dot = (a: readonly number[], b: readonly number[]) => sum(a.map((x, i) => x * b[i]));
