/*
 * The numbers of the models of a set: by key, then by fold, then by seed. Keys are in ascending
 * order. A set that is not partitioned has one key, and one without folds has one fold.
 */

/** How many of each a set has; each at least 1. */
export interface SetShape {
  readonly keys: number;
  readonly folds: number;
  readonly seeds: number;
}

/** Which key, fold and seed a model has, each counted from 0. */
export interface ModelPlace {
  readonly key: number;
  readonly fold: number;
  readonly seed: number;
}

export function modelCount({ keys, folds, seeds }: SetShape): number {
  return keys * folds * seeds;
}

export function placeOf({ folds, seeds }: SetShape, model: number): ModelPlace {
  const perKey = folds * seeds;
  const inKey = model % perKey;
  return { key: Math.floor(model / perKey), fold: Math.floor(inKey / seeds), seed: inKey % seeds };
}

export function numberOf({ folds, seeds }: SetShape, { key, fold, seed }: ModelPlace): number {
  return (key * folds + fold) * seeds + seed;
}
