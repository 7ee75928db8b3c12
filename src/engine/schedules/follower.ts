import { scheduleType } from "./learning-rate.ts";
import type { ScheduleState } from "./schedule.ts";
import type { Schedule } from "../settings.ts";

/** The state of a schedule that follows a metric. It is part of the checkpoint. */
export interface FollowerState {
  /** The state of the schedule itself; null before the first value of the metric. */
  state: ScheduleState | null;
  /**
   * The sum of the train losses, and the number of steps, since the last value. Only the leader
   * keeps them up to date.
   */
  lossSum: number;
  lossSteps: number;
}

/** The part of a run that a follower reads and changes. */
interface Following {
  readonly step: number;
  schedule: FollowerState | null;
  /** The groups with rates of their own, in order. */
  readonly groups: readonly { schedule: ScheduleState | null }[];
}

/**
 * Gives a schedule the values of the metric that it follows. When a value is due depends on the
 * step alone, so every thread knows it. The value comes from the leader, through a control double.
 */
export class Follower {
  readonly metric: string;
  readonly #schedule: Schedule;
  /** The rate of the optimizer, and then the rates of the groups. */
  readonly #bases: readonly number[];
  /** Number of steps that train_loss is averaged over. */
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

  /**
   * Called by the leader with the loss of a step. Returns the mean that all threads follow, if it
   * is due.
   */
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

  /** Takes the value, if one is due at this step. Values during the warm-up do not count. */
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
