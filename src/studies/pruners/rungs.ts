/** What pruners have in common. */
import { difference } from "../ranking.ts";
import type { EndedTrial, Rung, Study } from "../study.ts";

/** The finite objectives of the trials that reached a rung. */
export function valuesAt(ended: readonly EndedTrial[], epoch: number): number[] {
  return ended.flatMap(({ rungs }) => {
    const value = rungs.find((rung) => rung.epoch === epoch)?.value ?? null;
    return value === null || !Number.isFinite(value) ? [] : [value];
  });
}

/** Epochs that grow by a factor: `first`, `first · factor`, … below `epochs`. */
export function ladder(first: number, factor: number, epochs: number): number[] {
  const rungs = [];
  for (let epoch = first; epoch < epochs; epoch *= factor) rungs.push(epoch);
  return rungs;
}

/**
 * Asynchronous successive halving that only stops: a trial goes on beyond a rung if it is among the
 * best 1/factor of those that were there. Until a factor of trials were there, all go on.
 */
export function halving(
  direction: Study["direction"],
  epochs: readonly number[],
  factor: number,
  ended: readonly EndedTrial[],
): Rung[] {
  return epochs.map((epoch) => {
    const values = valuesAt(ended, epoch).sort((a, b) => difference(direction, a, b));
    if (values.length < factor) return { epoch, value: null };
    return { epoch, value: values[Math.max(1, Math.floor(values.length / factor)) - 1] };
  });
}
