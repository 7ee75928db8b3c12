/**
 * The parts of a spec that follow from its number of steps. A spec may leave them open; a job's
 * stored spec has them. It needs no schema: the threads that train the models of a set fill them in
 * for each.
 */
import { directionOf } from "../../engine/metrics/metrics.ts";
import { spanOf, withSpan } from "../../engine/schedules/span.ts";
import type { ResolvedSpec, Spec } from "../schema/spec.ts";

/** Points of a curve, about, unless the spec says otherwise. */
const DEFAULT_POINTS = 1000;

/** The number of steps of a job, and of an epoch of it. */
export interface Steps {
  readonly total: number;
  readonly perEpoch: number;
}

export function withDerived<S extends Pick<Spec, "schedule" | "training">>(
  spec: S,
  { total, perEpoch }: Steps,
): S & Pick<ResolvedSpec, "training"> {
  const { log_every_steps: every, early_stopping: stopping, ...training } = spec.training;
  return {
    ...spec,
    schedule: withSpan(spec.schedule, spanOf(spec.schedule, total, perEpoch)),
    training: {
      ...training,
      log_every_steps: every ?? defaultLogEverySteps(total),
      early_stopping: stopping && { ...stopping, mode: directionOf(stopping.metric) },
    },
  };
}

export function defaultLogEverySteps(totalSteps: number): number {
  return Math.max(1, Math.ceil(totalSteps / DEFAULT_POINTS));
}
