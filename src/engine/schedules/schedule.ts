import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Member, OptionFault, Options, ValuesOf } from "../member/options.ts";

/**
 * What a schedule is: a pure function from the number of steps (or epochs) done to a learning rate,
 * in double, in closed form, as `torch.optim.lr_scheduler` defines it. Every power, exponential and
 * cosine goes through `at.kernels` (NativeMath), never through `Math`.
 *
 * A schedule made of others finds their rates through `at`, not through the registry, which it is
 * itself a part of. One that follows a metric (reduce_on_plateau) has a state besides the time;
 * everything else follows from the time alone.
 */
export interface ScheduleType<O extends Options = Options> extends Description {
  readonly options: O;
  /** The rate at a time. */
  rate(options: ValuesOf<O>, at: Instant): number;
  /**
   * The momentum (of Adam and its kin: beta1) at a time, for schedules that cycle it; null: the
   * optimizer's own.
   */
  momentum?(options: ValuesOf<O>, at: Instant): number | null;
  /** True if the optimizer's lr says nothing, since the schedule's options have all rates. */
  readonly ownRates?: boolean;
  /**
   * True of options by which the rate does not scale with lr; such a schedule cannot be one of
   * several factors.
   */
  setsRate?(options: ValuesOf<O>, typeOf: TypeOf): boolean;
  /**
   * For schedules that follow a metric (their option `metric`): the state after one more value of
   * it.
   */
  follow?(options: ValuesOf<O>, base: number, state: ScheduleState | null, value: number): ScheduleState;
  /** When it comes to its end, or for the first time does what it is there for. */
  ends?(options: ValuesOf<O>): Ending;
  /** For schedules made of others: how long each of these has of the `span` that all have. */
  partSpans?(options: ValuesOf<O>, span: number): readonly number[];
  /** What is wrong with options that are each within their bounds but do not go together. */
  check?(options: ValuesOf<O>, typeOf: TypeOf): readonly OptionFault[];
}

export interface Ending {
  readonly at: number;
  /** The option that says so. */
  readonly option: string;
  /** What becomes of the rate if the training goes on long after; null: what was meant. */
  readonly after: string | null;
}

export type TypeOf = (member: Member) => ScheduleType;

/** What a schedule knows when it is asked. */
export interface Instant {
  readonly kernels: Kernels;
  /** The optimizer's lr. */
  readonly base: number;
  /** Steps (or epochs) done, an integer from 0. */
  readonly t: number;
  /**
   * What following the metric has led to; null before its first value, and for all who follow none.
   */
  readonly state: ScheduleState | null;
  /** What another schedule, a part of the one asked, says at time `t`. */
  rateOf(member: Member, t: number): number;
  momentumOf(member: Member, t: number): number | null;
}

/**
 * What a schedule that follows a metric remembers: a part of the checkpoint, so numbers that JSON
 * can hold.
 */
export type ScheduleState = Readonly<Record<string, number | null>>;

export function defineSchedule<const O extends Options>(type: ScheduleType<O>): ScheduleType<O> {
  return type;
}
