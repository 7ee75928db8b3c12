import { scheduleType, type Schedule } from "./learning-rate.ts";
import type { ScheduleState } from "./schedule.ts";

/** What is kept for a schedule that follows a metric; part of the checkpoint. */
export interface FollowerState {
  /** The schedule's own; null before the metric's first value. */
  state: ScheduleState | null;
  /**
   * The train loss summed, and the steps counted, since the last value; only the leader's is kept
   * up.
   */
  lossSum: number;
  lossSteps: number;
}

/** The part of a run that a follower looks at and changes. */
interface Following {
  readonly step: number;
  schedule: FollowerState | null;
  /** Of groups with rates of their own, in their order. */
  readonly groups: readonly { schedule: ScheduleState | null }[];
}

/**
 * Feeds a schedule the metric that it follows. When a value is due hangs on the step alone, so
 * every thread knows it; the value itself comes from the leader, through a control double.
 */
export class Follower {
  readonly metric: string;
  readonly #schedule: Schedule;
  /** The optimizer's rate, and then those of groups. */
  readonly #bases: readonly number[];
  /** Steps that train_loss is averaged over. */
  readonly #everySteps: number;

  constructor(schedule: Schedule, bases: readonly number[], stepsPerEpoch: number) {
    this.metric = schedule.metric as string;
    this.#schedule = schedule;
    this.#bases = bases;
    this.#everySteps = (schedule.every_steps as number | null) ?? stepsPerEpoch;
  }

  fresh(): FollowerState {
    return { state: null, lossSum: 0, lossSteps: 0 };
  }

  /** The leader counts a step's loss; returns the mean that all are to follow, if it is due. */
  addLoss({ step, schedule }: Following, loss: number): number | null {
    if (this.metric !== "train_loss") return null;
    const kept = schedule!;
    kept.lossSum += loss;
    kept.lossSteps++;
    if (step % this.#everySteps !== 0) return null;
    const mean = kept.lossSum / kept.lossSteps;
    kept.lossSum = 0;
    kept.lossSteps = 0;
    return mean;
  }

  /** Takes the value that is due now, if one is. Those of the warm-up do not count. */
  follow({ step, schedule, groups }: Following, evaluated: boolean, value: number): void {
    const due = this.metric === "train_loss" ? step % this.#everySteps === 0 : evaluated;
    if (!due || step <= this.#schedule.warmup_steps) return;
    const { follow } = scheduleType(this.#schedule);
    const [own, ...others] = this.#bases;
    schedule!.state = follow!(this.#schedule, own, schedule!.state, value);
    for (const [i, base] of others.entries())
      groups[i].schedule = follow!(this.#schedule, base, groups[i].schedule, value);
  }
}

/** Null unless the schedule follows a metric. */
export function followerOf(schedule: Schedule, bases: readonly number[], stepsPerEpoch: number): Follower | null {
  return scheduleType(schedule).follow ? new Follower(schedule, bases, stepsPerEpoch) : null;
}
