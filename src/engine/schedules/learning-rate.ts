import type { Kernels } from "../kernels/kernels.ts";
import type { Member, Schedule } from "../settings.ts";
import { schedules } from "./registry.generated.ts";
import type { Instant, ScheduleState, ScheduleType } from "./schedule.ts";

/** The rate and the momentum of one step. */
export interface Rate {
  readonly lr: number;
  /** Replaces the momentum (or beta1) of the optimizer; null keeps it. */
  readonly momentum: number | null;
}

/** The time for which a rate is computed. */
export interface When {
  /** Number of steps done. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly state: ScheduleState | null;
}

export function scheduleType(member: Member): ScheduleType {
  return schedules[member.type];
}

/**
 * The rate of step `step` (from 0). During the warm-up it is base × (step + 1)/warmup_steps. Then
 * the schedule gives it, for the steps since the warm-up or for the whole epochs that they make.
 * During the warm-up the momentum is the first one of the schedule.
 */
export function rateAt(kernels: Kernels, schedule: Schedule, base: number, { step, stepsPerEpoch, state }: When): Rate {
  const { interval, warmup_steps: warmup } = schedule;
  const since = Math.max(0, step - warmup);
  const at = instant(kernels, base, interval === "epoch" ? Math.floor(since / stepsPerEpoch) : since, state);
  return {
    lr: step < warmup ? (base * (step + 1)) / warmup : at.rateOf(schedule, at.t),
    momentum: at.momentumOf(schedule, at.t),
  };
}

function instant(kernels: Kernels, base: number, t: number, state: ScheduleState | null): Instant {
  return {
    kernels,
    base,
    t,
    state,
    rateOf: (member, t) => scheduleType(member).rate(member, instant(kernels, base, t, state)),
    momentumOf: (member, t) => scheduleType(member).momentum?.(member, instant(kernels, base, t, state)) ?? null,
  };
}
