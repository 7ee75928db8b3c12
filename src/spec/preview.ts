/** What a schedule does, before it is used: its curve over a number of steps. */
import { setImmediate as breathe } from "node:timers/promises";
import { z } from "zod";
import { compileKernels, createMemory, instantiateKernels, MODULE_BYTES } from "../engine/kernels/kernels.ts";
import type { Kernels } from "../engine/kernels/kernels.ts";
import { checkSchedule } from "../engine/schedules/check.ts";
import { rateAt } from "../engine/schedules/learning-rate.ts";
import { faulty } from "./errors.ts";
import { check, type Fault } from "./faults.ts";
import { ScheduleSpec } from "./spec.ts";

export const MAX_PREVIEW_STEPS = 100_000;

export const SchedulePreview = z
  .strictObject({
    schedule: ScheduleSpec,
    lr: z.number().min(0).describe("The optimizer's lr."),
    steps: z.int().min(1).max(MAX_PREVIEW_STEPS).describe("How many steps to show."),
    steps_per_epoch: z
      .int()
      .min(1)
      .nullable()
      .default(null)
      .describe(
        'Needed by a schedule whose interval is "epoch": ceil(train_rows / batch_size), or fewer if gradients are accumulated.',
      ),
    max_points: z
      .int()
      .min(4)
      .max(MAX_PREVIEW_STEPS)
      .nullable()
      .default(null)
      .describe("A longer curve is thinned to this many points at most; its ends and extremes stay. Null: every step."),
  })
  .meta({
    id: "SchedulePreview",
    description: "A schedule to look at. One that follows a metric stays where it starts.",
    examples: [
      { schedule: { type: "one_cycle", max_lr: 0.1, total_steps: 690 }, lr: 0.001, steps: 690, max_points: 100 },
    ],
  });
export type SchedulePreview = z.output<typeof SchedulePreview>;

export interface Curve {
  learningRates: number[];
  /** Null unless the schedule cycles it; its steps are null while the part of it does not that is at work. */
  momenta: (number | null)[] | null;
}

/** How long to work before others get their turn. */
const SLICE_MS = 5;

/** @throws Problem `invalid_spec` with every fault. */
export function resolvePreview(body: unknown): SchedulePreview {
  const { value, faults } = check(SchedulePreview, body);
  const found: Fault[] = [...(faults ?? [])];
  if (value !== null) {
    found.push(
      ...checkSchedule(value.schedule, null).map(({ option, message }) => ({
        pointer: `/schedule/${option}`,
        message,
      })),
    );
    if (value.schedule.interval === "epoch" && value.steps_per_epoch === null)
      found.push({ pointer: "/steps_per_epoch", message: 'is required, since the schedule\'s interval is "epoch"' });
  }
  if (value === null || found.length > 0) throw faulty("invalid_spec", found);
  return value;
}

/** The rate, and the momentum if there is one, of every step. @throws Problem `invalid_spec` if a rate is beyond all numbers */
export async function curveOf({ schedule, lr, steps, steps_per_epoch }: SchedulePreview): Promise<Curve> {
  const learningRates: number[] = [];
  const momenta: (number | null)[] = [];
  let resumed = performance.now();
  for (let step = 0; step < steps; step++) {
    const when = { step, stepsPerEpoch: steps_per_epoch ?? 1, state: null };
    const { lr: rate, momentum } = rateAt(functions(), schedule, lr, when);
    if (!Number.isFinite(rate))
      throw faulty("invalid_spec", [{ pointer: "/schedule", message: `makes the rate infinite at step ${step}` }]);
    learningRates.push(rate);
    momenta.push(momentum);
    if (step % 64 === 0 && performance.now() - resumed > SLICE_MS) {
      await breathe();
      resumed = performance.now();
    }
  }
  return { learningRates, momenta: momenta.every((momentum) => momentum === null) ? null : momenta };
}

let kernels: Kernels | null = null;

/** The kernels, for their functions alone. */
export function functions(): Kernels {
  kernels ??= instantiateKernels(compileKernels(), createMemory(MODULE_BYTES));
  return kernels;
}
