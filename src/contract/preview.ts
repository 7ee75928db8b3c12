/** The preview of a schedule: its curve over a number of steps. */
import { z } from "zod";
import { runInHelper, type Caller } from "../data/pool.ts";
import { checkSchedule } from "../engine/schedules/check.ts";
import { spanOf, withSpan } from "../engine/schedules/span.ts";
import { faulty } from "./errors.ts";
import { check, type Fault } from "./resolve/faults.ts";
import { ScheduleSpec } from "./schema/spec.ts";

export const MAX_PREVIEW_STEPS = 100_000;

export const SchedulePreview = z
  .strictObject({
    schedule: ScheduleSpec,
    lr: z.number().min(0).describe("The optimizer's lr."),
    steps: z.int().min(1).max(MAX_PREVIEW_STEPS).describe("Number of steps to show."),
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
      .describe("A longer curve is thinned to at most this many points. Its ends and extremes stay. Null: every step."),
  })
  .meta({
    id: "SchedulePreview",
    description: "A schedule to preview. One that follows a metric stays at its first rate.",
    examples: [
      { schedule: { type: "one_cycle", max_lr: 0.1, total_steps: 690 }, lr: 0.001, steps: 690, max_points: 100 },
    ],
  });
export type SchedulePreview = z.output<typeof SchedulePreview>;

export interface Curve {
  readonly learningRates: Float64Array;
  /** Null unless the schedule cycles the momentum. NaN at steps where it does not. */
  readonly momenta: Float64Array | null;
}

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
      found.push({
        pointer: "/steps_per_epoch",
        message: 'is required, because the interval of the schedule is "epoch"',
      });
  }
  if (value === null || found.length > 0) throw faulty("invalid_spec", found);
  const { schedule, steps, steps_per_epoch: stepsPerEpoch } = value;
  return { ...value, schedule: withSpan(schedule, spanOf(schedule, steps, stepsPerEpoch ?? 1)) };
}

/**
 * The rate, and the momentum if it is cycled, of every step. @throws Problem `invalid_spec` if a
 * rate is infinite
 */
export async function curveOf(
  { schedule, lr, steps, steps_per_epoch: stepsPerEpoch }: SchedulePreview,
  caller: Caller,
): Promise<Curve> {
  const input = { schedule, lr, steps, stepsPerEpoch: stepsPerEpoch ?? 1 };
  const { learningRates, momenta } = await runInHelper("curveOf", input, caller);
  const infinite = learningRates.findIndex((rate) => !Number.isFinite(rate));
  if (infinite !== -1)
    throw faulty("invalid_spec", [{ pointer: "/schedule", message: `makes the rate infinite at step ${infinite}` }]);
  return { learningRates, momenta: momenta.every(Number.isNaN) ? null : momenta };
}
