/*
 * What a study's first trials teach, kept from one trial to the next. Samplers and pruners look at
 * all trials for each new one. To sort ten thousand of them each time would take longer than many
 * trainings do, so each trial is taken in once. What is known is the same as if it were computed
 * anew.
 */
import type { EndedTrial, Study } from "./study.ts";

interface Known<S> {
  readonly state: S;
  readonly trials: EndedTrial[];
}

/** A function of a study's first trials. `learn` changes the state by one more trial. */
export function learned<S>(
  start: (study: Study) => S,
  learn: (state: S, trial: EndedTrial, number: number, study: Study) => void,
): (study: Study, ended: readonly EndedTrial[]) => S {
  const known = new WeakMap<Study, Known<S>>();
  return (study, ended) => {
    const found = known.get(study);
    const isBefore = found?.trials.every((trial, i) => trial === ended[i]) ?? false;
    const { state, trials } = isBefore ? found! : { state: start(study), trials: [] };
    known.set(study, { state, trials });
    for (let number = trials.length; number < ended.length; number++) {
      learn(state, ended[number], number, study);
      trials.push(ended[number]);
    }
    return state;
  };
}

/** Puts an item into a sorted list, after those that are equal. */
export function insert<T>(sorted: T[], item: T, compare: (a: T, b: T) => number): void {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(item, sorted[middle]) < 0) high = middle;
    else low = middle + 1;
  }
  sorted.splice(low, 0, item);
}
