import type { Kernels } from "../kernels/kernels.ts";
import type { Member } from "../member/options.ts";
import { schedules } from "./registry.generated.ts";
import type { Instant, ScheduleState, ScheduleType } from "./schedule.ts";

/** A schedule as it stands in a resolved spec. */
export type Schedule = Member & {
  /** What the schedule counts. */
  readonly interval: "step" | "epoch";
  /**
   * Steps over which the rate first rises to lr in a straight line; the schedule starts after them.
   */
  readonly warmup_steps: number;
};

/** What an optimizer runs a step at. */
export interface Rate {
  readonly lr: number;
  /** What takes the place of the optimizer's momentum, or beta1; null: nothing does. */
  readonly momentum: number | null;
}

/** When a rate is asked for. */
export interface When {
  /** Steps done. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly state: ScheduleState | null;
}

export function scheduleType(member: Member): ScheduleType {
  return schedules[member.type];
}

/**
 * The rate of step `step` (from 0): base × (step + 1)/warmup_steps during the warm-up, then what
 * the schedule says of the steps since, or of the whole epochs' worth of them. The momentum waits
 * at the schedule's first during the warm-up.
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
