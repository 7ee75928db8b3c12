// Means, spreads, and ranks with an interval that says how far the seeds can be trusted.
import { Draws } from "../../src/studies/draws.ts";
import type { Curve, Entry } from "./contest.ts";

export interface Ranked extends Entry {
  /** Of the losses. Null: a model diverged. */
  readonly mean: number | null;
  /** The deviation of a sample. */
  readonly deviation: number | null;
  readonly accuracy: number | null;
  readonly rank: number;
  /** The ranks that 95 of 100 choices of seeds would give. */
  readonly interval: readonly [number, number];
  readonly milliseconds_per_step: number;
  readonly curves: { readonly mean: Curve; readonly low: Curve; readonly high: Curve };
}

const RESAMPLES = 2000;
const OUTSIDE = 0.025;

/** The best first. */
export function ranked(entries: readonly Entry[]): Ranked[] {
  const losses = entries.map(({ runs }) => runs.map(({ loss }) => loss ?? Infinity));
  const ranks = ranksOf(losses.map(mean));
  const resampled = resample(losses);
  return entries
    .map((entry, i): Ranked => {
      const interval = resampled.map((each) => each[i]).sort((a, b) => a - b);
      const at = (share: number) => interval[Math.floor(share * (RESAMPLES - 1))];
      const accuracies = entry.runs.map((run) => run.accuracy ?? 0);
      return {
        ...entry,
        mean: finite(mean(losses[i])),
        deviation: finite(deviation(losses[i])),
        accuracy: finite(mean(accuracies)),
        rank: ranks[i],
        interval: [at(OUTSIDE), at(1 - OUTSIDE)],
        milliseconds_per_step: median(entry.runs.map((run) => run.milliseconds_per_step)),
        curves: curvesOf(entry.runs.map(({ curve }) => curve)),
      };
    })
    .sort((a, b) => a.rank - b.rank);
}

/**
 * The bootstrap: as many seeds are drawn with replacement, and the optimizers are ranked by these.
 * All optimizers get the same seeds, because models of one seed begin with the same weights and
 * see the rows in the same order.
 */
function resample(losses: readonly (readonly number[])[]): number[][] {
  const seeds = losses[0].length;
  return Array.from({ length: RESAMPLES }, (_, number) => {
    const draws = new Draws(0, number);
    const drawn = Array.from({ length: seeds }, () => Math.floor(draws.uniform() * seeds));
    return ranksOf(losses.map((own) => mean(drawn.map((seed) => own[seed]))));
  });
}

/** Ranks from 1, the lowest value first. Equal values share the better rank. */
function ranksOf(values: readonly number[]): number[] {
  return values.map((value) => 1 + values.filter((other) => other < value).length);
}

/** The mean, the lowest and the highest of several curves with the same steps, where all go on. */
function curvesOf(curves: readonly Curve[]): Ranked["curves"] {
  const { steps } = curves.reduce((longest, curve) => (curve.steps.length > longest.steps.length ? curve : longest));
  const over = (pick: (values: readonly number[]) => number): Curve => ({
    steps,
    values: steps.map((_, i) => finite(pick(curves.map(({ values }) => values[i] ?? Infinity)))),
  });
  return { mean: over(mean), low: over((values) => Math.min(...values)), high: over((values) => Math.max(...values)) };
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function deviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / Math.max(1, values.length - 1));
}
