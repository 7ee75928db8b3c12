import { learningRate, type Schedule } from "../../src/engine/schedules/learning-rate.ts";
import { schedules } from "../../src/engine/schedules/registry.generated.ts";
import { Bench } from "../support/kernels.ts";
import type { GoldenCase, GoldenTensor } from "./golden.ts";
import { translate } from "./names.ts";
import type { Verdict } from "./verdict.ts";

interface ScheduleCase extends GoldenCase {
  readonly schedule: string;
  readonly base_lr: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly lr: GoldenTensor;
}

const FLOOR = 1e-12;

/** Every rate of a schedule. */
export function schedule({ schedule: name, base_lr, options, lr }: ScheduleCase, verdict: Verdict): void {
  const { kernels } = new Bench(0);
  const member = { ...translate(schedules, "torch", name, options), interval: "step", warmup_steps: 0 } as Schedule;
  const rates = lr.data.map((_, t) => learningRate(kernels, member, base_lr, t, 1));
  verdict.absolutelyClose("lr", rates, lr.data, FLOOR);
}
