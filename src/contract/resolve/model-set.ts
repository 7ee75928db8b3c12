/** Specs of model sets: one job that trains several models of one spec. */
import { partitionColumns } from "../../data/encode/features.ts";
import type { Spec } from "../schema/spec.ts";
import type { Fault } from "./faults.ts";

/** Whether a spec makes several models. */
export function isSet({ data, training }: Partial<Pick<Spec, "data" | "training">>): boolean {
  const validation = data?.validation ?? null;
  const folds = validation !== null && "folds" in validation && validation.fold === undefined;
  return folds || (data !== undefined && partitionColumns(data).length > 0) || (training?.seeds ?? 1) > 1;
}

export function setFaults(parts: Partial<Spec>): Fault[] {
  return isSet(parts)
    ? [{ pointer: "/data", message: "asks for a set of models, which this version cannot train" }]
    : [];
}
