import type { Draws } from "../draws.ts";
import { ranked } from "../ranking.ts";
import { contains, inside, positionOf, type Domain, type Parameter } from "../space.ts";
import { defineSampler, type Origin, type SoFar } from "./sampler.ts";

/** By how much a number is made smaller or larger. */
const FACTORS = [0.8, 1.2];
/** What a trial cannot take over from another if it is changed. */
const FIXED = ["/init", "/training/epochs", "/training/batch_size", "/training/drop_last", "/training/averaging"];

/**
 * A round is the whole population, and each round trains it for the epochs of the spec. A member
 * goes on with its own weights and values. One of the worst takes weights and values of one of the
 * best instead, and its values are changed a little.
 *
 * Jaderberg et al., "Population Based Training of Neural Networks", 2017 (arXiv:1711.09846): with
 * truncation selection, and values that are multiplied or drawn anew.
 */
export const population_based = defineSampler({
  type: "population_based",
  summary: "Population-based training: the worst members go on from the best with other values.",
  formula: "after each round: the worst share takes weights and 0.8 or 1.2 times the values of one of the best",
  source: "Jaderberg et al. 2017, arXiv:1711.09846",
  options: {
    population: { kind: "integer", default: 10, min: 2, max: 1000, doc: "Trials of a round." },
    quantile: { kind: "number", default: 0.25, above: 0, max: 0.5, doc: "Share of the best, and of the worst." },
    resample: { kind: "number", default: 0.25, min: 0, max: 1, doc: "How often a value is drawn anew instead." },
  },
  round: ({ population }) => population,
  check(_options, { parameters, pruner }) {
    const fault = (message: string) => [{ option: "type", message }];
    if (pruner.type !== "none") return fault("ends the worst members itself, so /pruner must be none");
    const fixed = parameters.find(({ pointer }) => FIXED.some((at) => contains(at, pointer)));
    if (fixed === undefined) return [];
    return fault(`lets trials go on from others, which may not change ${fixed.pointer}: leave it out of the space`);
  },
  origin: ({ population, quantile }, so) => originOf(population, quantile, so),
  sample({ population, quantile, resample }, so) {
    const { study, ended, draws } = so;
    const origin = originOf(population, quantile, so);
    return study.parameters.map((parameter) => {
      const isNew = origin === null || draws.uniform() < resample;
      const before = origin && ended[origin.from].values;
      if (isNew || !before || !Object.hasOwn(before, parameter.pointer)) return draws.uniform();
      return changed(parameter, before[parameter.pointer], draws);
    });
  },
});

/** The trial of the round before that a trial goes on from; null if it begins anew. */
function originOf(population: number, quantile: number, { study, number, ended, draws }: SoFar): Origin | null {
  const member = number % population;
  const first = number - member - population;
  if (first < 0) return null;
  const round = ended.slice(first, first + population);
  const order = ranked(study.direction, round);
  const count = Math.max(1, Math.floor(quantile * population));
  const best = order.slice(0, count).filter((at) => round[at].status === "succeeded");
  // Where all have failed there is nothing to go on from.
  if (best.length === 0) return null;
  const isBad = round[member].status !== "succeeded" || order.indexOf(member) >= population - count;
  if (!isBad) return { from: first + member, keepsValues: true };
  return { from: first + best[Math.floor(draws.uniform() * best.length)], keepsValues: false };
}

/** The position of a value that is a little smaller or larger. A choice stays. */
function changed({ domain }: Parameter, value: unknown, draws: Draws): number {
  if (domain.kind === "choice") return positionOf(domain, value);
  const factor = FACTORS[draws.uniform() < 0.5 ? 0 : 1];
  return inside(positionOf(domain, multiplied(domain, value as number, factor)));
}

/** An integer changes by at least 1. */
function multiplied({ kind }: Domain, value: number, factor: number): number {
  const product = value * factor;
  if (kind !== "int") return product;
  const rounded = Math.round(product);
  return rounded === value ? value + (factor > 1 ? 1 : -1) : rounded;
}
