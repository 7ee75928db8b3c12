/*
 * A Parzen estimator: a density over positions, made of one kernel for each observation and a wide
 * one for the prior. A kernel is a product over the parameters: a normal distribution cut off at 0
 * and 1, or, for a choice, a share for each value. Kernels are joined, so the estimator sees which
 * values went together.
 */
import { functionKernels } from "../engine/kernels/kernels.ts";
import type { Draws } from "./draws.ts";
import { shareInside, truncatedNormal } from "./normal.ts";
import type { Domain } from "./space.ts";

/** After so many observations the older ones count less. */
const RECENT = 25;

interface Axis {
  readonly domain: Domain;
  /** Of each kernel: the middle and the deviation; for a choice, the value that was seen or -1. */
  readonly centers: readonly number[];
  readonly deviations: readonly number[];
}

export class Parzen {
  readonly #axes: readonly Axis[];
  readonly #weights: readonly number[];
  /** Of each kernel: the logarithms of its weight and of the scale of its normal densities. */
  readonly #constants: readonly number[];

  /** @param observed the positions of each observation, one for each domain, the oldest first */
  constructor(domains: readonly Domain[], observed: readonly (readonly number[])[]) {
    this.#axes = domains.map((domain, i) =>
      axisOf(
        domain,
        observed.map((positions) => positions[i]),
      ),
    );
    this.#weights = weightsOf(observed.length);
    const { log } = functionKernels();
    const numeric = this.#axes.filter(({ domain }) => domain.kind !== "choice");
    this.#constants = this.#weights.map((weight, kernel) =>
      numeric.reduce((sum, { centers, deviations }) => {
        const [center, deviation] = [centers[kernel], deviations[kernel]];
        return sum - log(deviation * shareInside(center, deviation));
      }, log(weight)),
    );
  }

  sample(draws: Draws): number[] {
    const kernel = pick(this.#weights, draws.uniform());
    return this.#axes.map(({ domain, centers, deviations }) => {
      if (domain.kind === "choice") return sampleChoice(domain.values.length, centers, kernel, draws);
      const position = truncatedNormal(draws, centers[kernel], deviations[kernel]);
      return domain.kind === "int" ? middle(position, domain.high - domain.low + 1) : position;
    });
  }

  /** The logarithm of the density, but for a constant that depends on the parameters alone. */
  logDensity(positions: readonly number[]): number {
    const { exp, log } = functionKernels();
    const logs = this.#constants.map((constant, kernel) =>
      this.#axes.reduce((sum, { domain, centers, deviations }, i) => {
        if (domain.kind === "choice") {
          return sum + log(choiceShare(domain.values.length, centers, kernel, indexOf(positions[i], domain)));
        }
        const off = (positions[i] - centers[kernel]) / deviations[kernel];
        return sum - (off * off) / 2;
      }, constant),
    );
    const most = logs.reduce((a, b) => Math.max(a, b), -Infinity);
    return most + log(logs.reduce((sum, each) => sum + exp(each - most), 0));
  }
}

function axisOf(domain: Domain, observed: readonly number[]): Axis {
  if (domain.kind === "choice") {
    return { domain, centers: [...observed.map((position) => indexOf(position, domain)), -1], deviations: [] };
  }
  return { domain, centers: [...observed, 0.5], deviations: [...deviationsOf(observed), 1] };
}

/**
 * The deviation of a kernel is the distance to the farther one of its neighbours, but at least 1
 * of n + 2 parts. The first and the last kernel look at their only neighbour, not at the ends.
 */
function deviationsOf(observed: readonly number[]): number[] {
  const order = observed.map((_, i) => i).sort((i, j) => observed[i] - observed[j] || i - j);
  const least = 1 / Math.min(100, observed.length + 2);
  const deviations: number[] = [];
  order.forEach((at, rank) => {
    const [before, after] = [observed[order[rank - 1]], observed[order[rank + 1]]];
    const down = observed[at] - (before ?? 0);
    const up = (after ?? 1) - observed[at];
    const alone = observed.length === 1;
    const distance = alone
      ? Math.max(down, up)
      : before === undefined
        ? up
        : after === undefined
          ? down
          : Math.max(down, up);
    deviations[at] = Math.min(1, Math.max(least, distance));
  });
  return deviations;
}

/** The last weight is that of the prior. */
function weightsOf(count: number): number[] {
  const ramp = count - RECENT;
  const weights = Array.from({ length: count }, (_, i) => {
    if (i >= ramp) return 1;
    return ramp === 1 ? 1 / count : 1 / count + ((1 - 1 / count) * i) / (ramp - 1);
  });
  weights.push(1);
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The share that a kernel gives to a value of a choice. The prior is spread over all kernels. */
function choiceShare(values: number, centers: readonly number[], kernel: number, value: number): number {
  const prior = 1 / centers.length;
  const seen = centers[kernel];
  if (seen === -1) return 1 / values;
  return (prior + (seen === value ? 1 : 0)) / (values * prior + 1);
}

function sampleChoice(values: number, centers: readonly number[], kernel: number, draws: Draws): number {
  const shares = Array.from({ length: values }, (_, value) => choiceShare(values, centers, kernel, value));
  return (pick(shares, draws.uniform()) + 0.5) / values;
}

/** The index whose part of the sum of the shares contains `at`. */
function pick(shares: readonly number[], at: number): number {
  let sum = 0;
  for (let i = 0; i < shares.length; i++) {
    sum += shares[i];
    if (at < sum) return i;
  }
  return shares.length - 1;
}

function indexOf(position: number, domain: Domain): number {
  return domain.kind === "choice" ? Math.floor(position * domain.values.length) : position;
}

function middle(position: number, values: number): number {
  return (Math.floor(position * values) + 0.5) / values;
}
