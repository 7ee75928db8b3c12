/** The body of every answer that reports an error. */
import { z } from "zod";
import { ErrorCode } from "../errors.ts";
import { MAX_FAULTS } from "../resolve/faults.ts";
import { JobStatus } from "./job.ts";

export const ProblemDocument = z
  .object({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: ErrorCode,
    request_id: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), message: z.string() }))
      .max(MAX_FAULTS)
      .optional()
      .describe(
        "The faults, at most 100; `detail` says how many more there are. `pointer` is an RFC 6901 pointer into the body, or `?name` for a query parameter.",
      ),
    current_status: JobStatus.optional().describe("With `wrong_status`."),
    line: z.int().optional().describe("With `invalid_dataset`: the line of the file, from 1."),
  })
  .meta({
    id: "Problem",
    description: "A problem document (RFC 9457).",
    examples: [
      {
        type: "about:blank",
        title: "Invalid spec",
        status: 422,
        detail: "The spec has 1 fault: /training/epochs is required.",
        code: "invalid_spec",
        request_id: "req-1",
        errors: [{ pointer: "/training/epochs", message: "is required" }],
      },
    ],
  });
export type ProblemDocument = z.infer<typeof ProblemDocument>;
