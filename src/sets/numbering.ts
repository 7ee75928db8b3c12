import { foldsOf, type SetShape } from "../contract/resolve/set-shape.ts";
import type { Spec } from "../contract/schema/spec.ts";

/*
 * The numbers of the models of a set: by key, then by fold, then by seed. Keys are in ascending
 * order. A set that is not partitioned has one key, and one without folds has one fold.
 */

/** The shape of a set whose rows have so many keys. */
export function shapeOf({ data, training }: Pick<Spec, "data" | "training">, keys: number): SetShape {
  return { keys, folds: foldsOf(data), seeds: training.seeds };
}

/** Which key, fold and seed a model has, each counted from 0. */
export interface ModelPlace {
  readonly key: number;
  readonly fold: number;
  readonly seed: number;
}

export function placeOf({ folds, seeds }: SetShape, model: number): ModelPlace {
  const perKey = folds * seeds;
  const inKey = model % perKey;
  return { key: Math.floor(model / perKey), fold: Math.floor(inKey / seeds), seed: inKey % seeds };
}

export function numberOf({ folds, seeds }: SetShape, { key, fold, seed }: ModelPlace): number {
  return (key * folds + fold) * seeds + seed;
}
