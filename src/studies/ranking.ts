/** Which trial is better. */
import type { EndedTrial, Rung, Study } from "./study.ts";

const ORDER = { succeeded: 0, pruned: 1, failed: 2, cancelled: 3 };

/**
 * The numbers of trials, the best first. A pruned trial ranks after all that succeeded, and among
 * its kind by the last rung that it reached. A trial that diverged or failed otherwise ranks after
 * those. Of equal trials the lower number is better.
 */
export function ranked(direction: Study["direction"], trials: readonly EndedTrial[]): number[] {
  return trials.map((_, i) => i).sort((i, j) => compare(direction, trials[i], trials[j]) || i - j);
}

/** The number of the best trial; null if none succeeded. */
export function bestOf(direction: Study["direction"], trials: readonly EndedTrial[]): number | null {
  let best: number | null = null;
  trials.forEach((trial, i) => {
    if (trial.status !== "succeeded") return;
    if (best === null || compare(direction, trial, trials[best]) < 0) best = i;
  });
  return best;
}

/** Below 0 if `a` is better. */
export function compare(direction: Study["direction"], a: EndedTrial, b: EndedTrial): number {
  const kinds = ORDER[a.status] - ORDER[b.status];
  if (kinds !== 0) return kinds;
  if (a.status === "succeeded") return difference(direction, a.value, b.value);
  if (a.status !== "pruned") return 0;
  const [last, other] = [a.rungs.at(-1), b.rungs.at(-1)];
  return (other?.epoch ?? 0) - (last?.epoch ?? 0) || difference(direction, valueOf(last), valueOf(other));
}

const valueOf = (rung: Rung | undefined) => rung?.value ?? null;

/** Below 0 if `a` is better. A number that is missing or not finite is the worst. */
export function difference(direction: Study["direction"], a: number | null, b: number | null): number {
  const [x, y] = [cost(direction, a), cost(direction, b)];
  return x === y ? 0 : x - y;
}

function cost(direction: Study["direction"], value: number | null): number {
  if (value === null || !Number.isFinite(value)) return Infinity;
  return direction === "minimize" ? value : -value;
}
