import type { Kernels } from "../kernels/kernels.ts";
import type { Description, OptionFault, Options, ValuesOf } from "../member/options.ts";
import type { Member } from "../settings.ts";

/**
 * What a schedule is: a pure function from the number of steps (or epochs) done to a learning rate,
 * in double, in closed form, as `torch.optim.lr_scheduler` defines it. Every power, exponential and
 * cosine goes through `at.kernels` (NativeMath), never through `Math`.
 *
 * A schedule made of others gets their rates through `at`, because it cannot import the registry
 * that it is part of. A schedule that follows a metric (reduce_on_plateau) also has a state. All
 * others depend on the time alone.
 */
export interface ScheduleType<O extends Options = Options> extends Description {
  readonly options: O;
  /** The learning rate at a time. */
  rate(options: ValuesOf<O>, at: Instant): number;
  /**
   * The momentum (in Adam and similar: beta1) at a time, for schedules that cycle it; null: that of
   * the optimizer.
   */
  momentum?(options: ValuesOf<O>, at: Instant): number | null;
  /**
   * True if the lr of the optimizer is not used, because the options of the schedule give all
   * rates.
   */
  readonly ownRates?: boolean;
  /**
   * True if with these options the rate is not proportional to lr. Such a schedule cannot be part
   * of `chained`.
   */
  setsRate?(options: ValuesOf<O>, typeOf: TypeOf): boolean;
  /**
   * For schedules that follow a metric (their option `metric`): the state after one more value of
   * the metric.
   */
  follow?(options: ValuesOf<O>, base: number, state: ScheduleState | null, value: number): ScheduleState;
  /** For a schedule that tests rates instead of training (watch/range-test.ts): which ones. */
  tests?(options: ValuesOf<O>): RateRange;
  /** When the schedule ends, or does what it is meant to do for the first time. */
  ends?(options: ValuesOf<O>): Ending;
  /** For schedules made of others: the share that each part has of the `span`. */
  partSpans?(options: ValuesOf<O>, span: number): readonly number[];
  /** Faults of options that are each within their bounds but do not fit together. */
  check?(options: ValuesOf<O>, typeOf: TypeOf): readonly OptionFault[];
}

/** Rates that grow by the same factor from step to step. */
export interface RateRange {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
}

export interface Ending {
  readonly at: number;
  /** The option that sets this. */
  readonly option: string;
  /**
   * What happens to the rate if the training goes on for long after that; null: what the user
   * wants.
   */
  readonly after: string | null;
}

export type TypeOf = (member: Member) => ScheduleType;

/** What a schedule is given to compute a rate from. */
export interface Instant {
  readonly kernels: Kernels;
  /** The lr of the optimizer. */
  readonly base: number;
  /** Number of steps (or epochs) done, an integer from 0. */
  readonly t: number;
  /**
   * The state that the metric has led to; null before its first value, and for schedules that
   * follow none.
   */
  readonly state: ScheduleState | null;
  /** The rate of a part of this schedule at time `t`. */
  rateOf(member: Member, t: number): number;
  momentumOf(member: Member, t: number): number | null;
}

/**
 * The state of a schedule that follows a metric. It is part of the checkpoint, so JSON must be able
 * to hold its numbers.
 */
export type ScheduleState = Readonly<Record<string, number | null>>;

export function defineSchedule<const O extends Options>(type: ScheduleType<O>): ScheduleType<O> {
  return type;
}
