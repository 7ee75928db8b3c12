/** Which rows make the batches of a job. */
import { z } from "zod";
import { Count, JobId } from "./common.ts";

export const Batches = z
  .object({
    job_id: JobId,
    epoch: Count.describe("From 0."),
    total: Count.describe("Number of batches in the epoch."),
    data: z.array(
      z.object({
        batch: Count.describe("Its number in the epoch, from 0."),
        step: Count.describe("The step that it is part of. Steps count from 1, as in metrics."),
        rows: z
          .array(Count)
          .describe(
            "Rows of the dataset in the order of the batch. They count from 0, without the header; with `data.where` they count the rows that the job sees.",
          ),
      }),
    ),
    has_more: z.boolean(),
    next: z.string().nullable().describe("The `after` of the next page."),
  })
  .meta({ id: "Batches", description: "Which rows make the batches of an epoch." });
export type Batches = z.infer<typeof Batches>;
