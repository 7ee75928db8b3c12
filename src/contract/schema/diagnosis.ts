/** What detectors found in a job. */
import { z } from "zod";
import { CAUSES } from "../../engine/detectors/causes.ts";
import { detectors } from "../../engine/detectors/registry.generated.ts";
import { Count, JobId } from "../wire/common.ts";
import { Change, JobStatus } from "../wire/job.ts";

export const Finding = z
  .object({
    detector: z.enum(Object.keys(detectors) as [string, ...string[]]),
    cause: z.enum(CAUSES).describe("The likely cause. Stable, for programs."),
    step: Count.describe("The step at which it was found."),
    message: z.string().describe("What was seen."),
    remedy: z.string().describe("What is likely to help."),
    data: z
      .record(z.string(), z.union([z.number(), z.string()]).nullable())
      .describe("The numbers behind the message."),
  })
  .meta({
    id: "Finding",
    description: "A fault of a run that a detector found.",
    examples: [
      {
        detector: "diverging",
        cause: "learning_rate_too_high",
        step: 180,
        message: "The loss rose from 0.31 at step 120 to 4.2 at step 180 while the gradient norm grew 40-fold.",
        remedy: "Lower lr (now 0.1) to about 0.01, or set clip_grad_norm to 1.0.",
        data: { lowest: 0.31, lowest_step: 120, loss: 4.2 },
      },
    ],
  });
export type Finding = z.infer<typeof Finding>;

export const Diagnosis = z
  .object({
    job_id: JobId,
    status: JobStatus,
    step: Count.describe("The step up to which the job has been watched."),
    summary: z.string().describe("One sentence."),
    findings: z.array(Finding).describe("In the order in which they were found, but first those that led to changes."),
    changes: z.array(Change).describe("What the policy `rewind` did about divergences."),
    detectors: z
      .record(z.string(), z.enum(["found", "quiet", "blind", "ignored"]))
      .describe(
        "`blind`: it lacks numbers, which `observe` or validation would give. `ignored`: its policy is `ignore`.",
      )
      .meta({ examples: [{ diverging: "found", plateau: "quiet", dead_relu: "blind" }] }),
  })
  .meta({ id: "Diagnosis", description: "What is known to be wrong with the training of a job, if anything is." });
export type Diagnosis = z.infer<typeof Diagnosis>;
