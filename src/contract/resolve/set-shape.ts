/** How many models a set has. It needs no schema: the threads that train models know it. */
import type { DataSpec } from "../../data/encode/encoding.ts";

/** How many of each a set has; each at least 1. A set that is not partitioned has one key. */
export interface SetShape {
  readonly keys: number;
  readonly folds: number;
  readonly seeds: number;
}

export function modelsOf({ keys, folds, seeds }: SetShape): number {
  return keys * folds * seeds;
}

/** The number of folds that each have a model. */
export function foldsOf({ validation }: Pick<DataSpec, "validation">): number {
  return validation !== null && "folds" in validation && validation.fold === undefined ? validation.folds : 1;
}

/** The data of the first fold, where each fold has a model. */
export function firstFold<D extends Pick<DataSpec, "validation">>(data: D): D {
  return foldsOf(data) > 1 ? { ...data, validation: { ...data.validation, fold: 0 } } : data;
}
