import type { Kernels } from "../kernels/kernels.ts";
import type { Member } from "../options.ts";
import { schedules } from "./registry.generated.ts";
import type { ScheduleType } from "./schedule.ts";

/** A schedule as it stands in a resolved spec. */
export type Schedule = Member & {
  /** What the schedule counts. */
  readonly interval: "step" | "epoch";
  /** Steps over which the rate first rises to lr in a straight line; the schedule starts after them. */
  readonly warmup_steps: number;
};

/**
 * The learning rate of step `step` (from 0): base × (step + 1)/warmup_steps during the warm-up, then what the schedule says of the
 * steps since, or of the whole epochs' worth of them.
 */
export function learningRate(
  kernels: Kernels,
  schedule: Schedule,
  base: number,
  step: number,
  stepsPerEpoch: number,
): number {
  const { interval, warmup_steps: warmup } = schedule;
  if (step < warmup) return (base * (step + 1)) / warmup;
  const since = step - warmup;
  const type = schedules[schedule.type as keyof typeof schedules] as unknown as ScheduleType;
  return type.rate(kernels, schedule as never, base, interval === "epoch" ? Math.floor(since / stepsPerEpoch) : since);
}
