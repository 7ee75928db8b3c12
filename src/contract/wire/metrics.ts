/** Curves: a job's metrics, and what a schedule does. */
import { z } from "zod";
import { Count, JobId } from "./common.ts";

export const Series = z
  .object({ steps: z.array(Count), values: z.array(z.number().nullable()) })
  .meta({ id: "Series", description: "Values of one metric beside the steps they belong to, ascending." });
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
    learning_rate: z.array(z.number()).describe("The rate of each of them."),
    momentum: z
      .array(z.number().nullable())
      .nullable()
      .describe("Likewise the momentum (of Adam and its kin: beta1), if it is cycled."),
  })
  .meta({ id: "ScheduleCurve", description: "What a schedule does, step by step." });
export type ScheduleCurve = z.infer<typeof ScheduleCurve>;
