import { place, positionOf, sizeOf, type Domain, type Positions } from "../space.ts";
import type { Study } from "../study.ts";
import { defineSampler } from "./sampler.ts";

/** Most points of a grid that are listed. A study has fewer trials. */
const MOST = 100_000;

/**
 * All combinations in order; the last parameter changes fastest. Combinations that differ only in
 * parameters that they do not have count once.
 */
export const grid = defineSampler({
  type: "grid",
  summary: "All combinations of a few values of each parameter.",
  formula: "the product of the values; continuous parameters have `points` of them, from end to end",
  source: "no paper",
  options: {
    points: {
      kind: "integer",
      default: 5,
      min: 2,
      max: 1000,
      doc: "Values of a continuous parameter, evenly spaced. An `int` has at most so many.",
    },
  },
  size: ({ points }, study) => pointsOf(study, points).length,
  check({ points }, { parameters }) {
    const all = parameters.reduce((product, { domain }) => product * stepsOf(domain, points), 1);
    if (all <= MOST) return [];
    return [
      { option: "type", message: `has ${all} combinations, more than ${MOST}: leave out values, or search by tpe` },
    ];
  },
  sample: ({ points }, { study, number }) => pointsOf(study, points)[number],
});

function stepsOf(domain: Domain, points: number): number {
  return domain.kind === "choice" ? domain.values.length : Math.min(points, sizeOf(domain));
}

const known = new WeakMap<Study, Map<number, Positions[]>>();

function pointsOf(study: Study, points: number): Positions[] {
  const lists = known.get(study) ?? new Map<number, Positions[]>();
  known.set(study, lists);
  const found = lists.get(points) ?? listed(study, points);
  lists.set(points, found);
  return found;
}

function listed({ spec, parameters }: Study, points: number): Positions[] {
  const steps = parameters.map(({ domain }) => stepsOf(domain, points));
  const all = steps.reduce((product, count) => product * count, 1);
  const conditional = parameters.some(({ when }) => Object.keys(when).length > 0);
  const seen = new Set<string>();
  const found: Positions[] = [];
  for (let i = 0; i < all; i++) {
    const positions = positionsAt(i, parameters, steps);
    if (conditional) {
      const { values } = place(spec, parameters, positions);
      const key = parameters.map(({ pointer }, k) => (Object.hasOwn(values, pointer) ? positions[k] : "")).join();
      if (seen.has(key)) continue;
      seen.add(key);
    }
    found.push(positions);
  }
  return found;
}

function positionsAt(index: number, parameters: Study["parameters"], steps: readonly number[]): number[] {
  const positions: number[] = [];
  for (let k = parameters.length - 1; k >= 0; k--) {
    const digit = index % steps[k];
    index = (index - digit) / steps[k];
    positions.unshift(positionOfStep(parameters[k].domain, digit, steps[k]));
  }
  return positions;
}

function positionOfStep(domain: Domain, digit: number, steps: number): number {
  if (domain.kind === "choice") return (digit + 0.5) / steps;
  const share = steps === 1 ? 0 : digit / (steps - 1);
  if (domain.kind !== "int") return share;
  return positionOf(domain, domain.low + Math.round(share * (domain.high - domain.low)));
}
