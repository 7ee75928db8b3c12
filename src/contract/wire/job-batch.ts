/** Many jobs in one request. */
import { z } from "zod";
import { Spec } from "../schema/spec.ts";
import { JobSummary } from "./job.ts";
import { ProblemDocument } from "./problem.ts";

export const MAX_BATCH_JOBS = 1000;

export const JobBatch = z
  .strictObject({ jobs: z.array(Spec).min(1).max(MAX_BATCH_JOBS).describe("The specs.") })
  .meta({ id: "JobBatch", description: "Jobs to create." });
export type JobBatch = z.infer<typeof JobBatch>;

const Status = z.int().describe("The status that the spec alone would have been answered with.");

export const JobBatchResults = z
  .object({
    results: z
      .array(
        z.union([
          z.strictObject({ status: Status, job: JobSummary }),
          z.strictObject({ status: Status, problem: ProblemDocument }),
        ]),
      )
      .describe("One for each spec, in their order. Pointers of faults lead into that spec."),
  })
  .meta({ id: "JobBatchResults", description: "What became of each spec of a batch." });
export type JobBatchResults = z.infer<typeof JobBatchResults>;
