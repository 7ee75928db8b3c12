import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../options.ts";

/**
 * What a schedule is: a pure function from the number of steps (or epochs) done to a learning rate, in double, in closed form, as
 * `torch.optim.lr_scheduler` defines it. Every power, exponential and cosine goes through `kernels` (NativeMath), never through `Math`.
 */
export interface ScheduleType<O extends Options = Options> extends Description {
  readonly options: O;
  /** The rate at time t (an integer from 0) for a base rate. */
  rate(kernels: Kernels, options: ValuesOf<O>, base: number, t: number): number;
}

export function defineSchedule<const O extends Options>(type: ScheduleType<O>): ScheduleType<O> {
  return type;
}
