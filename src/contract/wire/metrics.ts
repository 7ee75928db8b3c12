/** Curves: the metrics of a job, and the rates of a schedule. */
import { z } from "zod";
import { Count, JobId } from "./common.ts";

export const Series = z
  .object({ steps: z.array(Count), values: z.array(z.number().nullable()) })
  .meta({ id: "Series", description: "The values of one metric, and their steps in ascending order." });
export type Series = z.infer<typeof Series>;

export const MetricSeries = z
  .object({
    job_id: JobId,
    series: z.record(z.string(), Series).meta({ examples: [{ train_loss: { steps: [1, 2], values: [2.31, 2.17] } }] }),
  })
  .meta({ id: "MetricSeries", description: "The curves of a job." });
export type MetricSeries = z.infer<typeof MetricSeries>;

export const ScheduleCurve = z
  .object({
    steps: z.array(Count).describe("Steps, from 0, ascending."),
    learning_rate: z.array(z.number()).describe("The rate of each step."),
    momentum: z
      .array(z.number().nullable())
      .nullable()
      .describe("The momentum (in Adam and similar: beta1) of each step, if it is cycled."),
  })
  .meta({ id: "ScheduleCurve", description: "The rates of a schedule, step by step." });
export type ScheduleCurve = z.infer<typeof ScheduleCurve>;
