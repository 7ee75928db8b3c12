import { rateAt, scheduleType } from "../../src/engine/schedules/learning-rate.ts";
import type { ScheduleState } from "../../src/engine/schedules/schedule.ts";
import { schedules } from "../../src/engine/schedules/registry.generated.ts";
import { Bench } from "../support/kernels.ts";
import type { GoldenCase, GoldenTensor } from "./golden.ts";
import { translate } from "./names.ts";
import type { Verdict } from "./verdict.ts";
import type { Schedule } from "../../src/engine/settings.ts";

interface ScheduleCase extends GoldenCase {
  readonly library: string;
  readonly schedule: string;
  readonly base_lr: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly lr: GoldenTensor;
  readonly momentum?: GoldenTensor;
  /** Of a schedule that follows a metric: its value between step t and the next. */
  readonly metrics?: GoldenTensor;
}

const FLOOR = 1e-12;

/** Every rate of a schedule, and every momentum if it cycles it. */
export function schedule(golden: ScheduleCase, verdict: Verdict): void {
  const { library, schedule: name, base_lr, options, lr, momentum, metrics } = golden;
  const { kernels } = new Bench(0);
  const member = { ...translate(schedules, library, name, options), interval: "step", warmup_steps: 0 } as Schedule;
  let state: ScheduleState | null = null;
  const rates = lr.data.map((_, step) => {
    const rate = rateAt(kernels, member, base_lr, { step, stepsPerEpoch: 1, state });
    if (metrics) state = scheduleType(member).follow!(member, base_lr, state, metrics.data[step]);
    return rate;
  });
  verdict.absolutelyClose(
    "lr",
    rates.map((rate) => rate.lr),
    lr.data,
    FLOOR,
  );
  if (momentum === undefined) return;
  verdict.absolutelyClose(
    "momentum",
    rates.map((rate) => rate.momentum ?? NaN),
    momentum.data,
    FLOOR,
  );
}
