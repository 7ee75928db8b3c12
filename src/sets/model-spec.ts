/*
 * The spec of a model of a set: that of a plain job, which makes the same model. What follows from
 * the rows of a model is open in the spec of the set (null), and filled in for each model.
 */
import { withDerived } from "../contract/resolve/derived.ts";
import type { Spec } from "../contract/schema/spec.ts";
import type { TrainingSpec } from "../contract/training-job.ts";
import type { Key } from "../data/encode/keys.ts";
import { stepsPerEpoch } from "../engine/job.ts";
import type { ModelPlace } from "./numbering.ts";

/** The part of a set's spec that says what its models are. */
export type SetSpec = Omit<TrainingSpec, "training"> & Pick<Spec, "training">;

/** The `data` of a model. @param key none if the set is not partitioned */
export function modelData({ data }: SetSpec, key: Key, fold: number): SetSpec["data"] {
  const { validation, where } = data;
  const isOpen = validation !== null && "folds" in validation && validation.fold === undefined;
  return {
    ...data,
    where: data.partition_by === null ? where : { ...where, ...key },
    partition_by: null,
    validation: isOpen ? { ...validation, fold } : validation,
  };
}

/** @param trainRows how many rows train, of those that `data` gives the model */
export function modelSpec(spec: SetSpec, data: SetSpec["data"], { seed }: ModelPlace, trainRows: number): TrainingSpec {
  const { batch_size: batch, seed: first } = spec.training;
  const training = {
    ...spec.training,
    batch_size: batch === "full" ? batch : Math.min(batch, trainRows),
    seed: first + seed,
    seeds: 1,
    pooled: false,
  };
  const perEpoch = stepsPerEpoch(training, trainRows);
  return withDerived({ ...spec, data, training }, { total: perEpoch * training.epochs, perEpoch });
}
