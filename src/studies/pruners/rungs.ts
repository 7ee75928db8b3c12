/** What pruners have in common. */
import { insert, learned } from "../learned.ts";
import { difference } from "../ranking.ts";
import type { EndedTrial, Rung, Study } from "../study.ts";

/** The finite objectives of trials at each rung, by epoch, the best first. */
export class Reached {
  readonly #direction: Study["direction"];
  readonly #values = new Map<number, number[]>();

  constructor({ direction }: Pick<Study, "direction">) {
    this.#direction = direction;
  }

  add({ rungs }: EndedTrial): void {
    for (const { epoch, value } of rungs) {
      if (value === null || !Number.isFinite(value)) continue;
      const values = this.#values.get(epoch) ?? [];
      this.#values.set(epoch, values);
      insert(values, value, (a, b) => difference(this.#direction, a, b));
    }
  }

  at(epoch: number): readonly number[] {
    return this.#values.get(epoch) ?? [];
  }
}

/** What all trials reached. */
export const reachedIn = learned(
  (study) => new Reached(study),
  (reached, trial) => reached.add(trial),
);

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
export function halving(epochs: readonly number[], factor: number, reached: Reached): Rung[] {
  return epochs.map((epoch) => {
    const values = reached.at(epoch);
    if (values.length < factor) return { epoch, value: null };
    return { epoch, value: values[Math.max(1, Math.floor(values.length / factor)) - 1] };
  });
}
