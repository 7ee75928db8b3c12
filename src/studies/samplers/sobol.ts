import type { OptionFault } from "../../engine/member/options.ts";
import { Draws } from "../draws.ts";
import { DIRECTIONS } from "./sobol-directions.ts";
import { defineSampler } from "./sampler.ts";

const BITS = 32;
const MOST = DIRECTIONS.length + 1;

/**
 * Sobol's sequence: point n is the exclusive or of the direction numbers at the bits of n's Gray
 * code. A random digital shift, one for each parameter, depends on the seed of the study. It keeps
 * the evenness of the sequence.
 *
 * With one parameter and no shift: 0, 1/2, 3/4, 1/4, 3/8, …
 */
export const sobol = defineSampler({
  type: "sobol",
  summary: "Evenly spread values: covers a space of few parameters better than random ones do.",
  formula: "x_n = v_{b1} ⊕ v_{b2} ⊕ … ⊕ shift, where b are the bits of n ⊕ ⌊n/2⌋",
  source: "Sobol' 1967; Joe & Kuo 2008; scipy.stats.qmc.Sobol",
  options: {},
  check: (_options, { parameters }): OptionFault[] =>
    parameters.length <= MOST ? [] : [{ option: "type", message: `searches at most ${MOST} parameters` }],
  sample(_options, { study: { seed, parameters }, number }) {
    const gray = number ^ (number >>> 1);
    return parameters.map((_, dimension) => {
      // The shift is the same for all trials. No trial has this number.
      let bits = new Draws(seed, 2 ** 32 - 1 - dimension).word();
      directionNumbers(dimension).forEach((direction, bit) => {
        if ((gray >>> bit) & 1) bits ^= direction;
      });
      return (bits >>> 0) * 2 ** -BITS;
    });
  },
});

const known = new Map<number, readonly number[]>();

/** The direction numbers of a dimension, the most significant bit first. */
function directionNumbers(dimension: number): readonly number[] {
  const found = known.get(dimension) ?? computed(dimension);
  known.set(dimension, found);
  return found;
}

function computed(dimension: number): number[] {
  if (dimension === 0) return Array.from({ length: BITS }, (_, bit) => (1 << (BITS - 1 - bit)) >>> 0);
  const [polynomial, ...initial] = DIRECTIONS[dimension - 1];
  const degree = initial.length;
  const directions = initial.map((m, bit) => (m << (BITS - 1 - bit)) >>> 0);
  for (let bit = degree; bit < BITS; bit++) {
    let next = directions[bit - degree] ^ (directions[bit - degree] >>> degree);
    for (let k = 1; k < degree; k++) if ((polynomial >>> (degree - k)) & 1) next ^= directions[bit - k];
    directions.push(next >>> 0);
  }
  return directions;
}
