/** The state of a process, and of the service as a whole. */
import { z } from "zod";
import { Count, JobId, PredictionId, Time } from "./common.ts";
import { JobStatus } from "./job.ts";

export const Health = z
  .object({
    status: z
      .enum(["ok", "degraded", "unavailable"])
      .describe("`degraded`: it serves, but not everything. `checks` says what is missing."),
    checks: z.record(z.string(), z.string()).meta({ examples: [{ redis: "ok" }] }),
    retrying: z
      .array(
        z.object({
          loop: z.string().meta({ examples: ["record"] }),
          count: Count.describe("Number of loops of that name that fail now."),
          failures: Count.describe("Number of their failures in a row, together."),
          seconds: Count.describe("Seconds for which the longest of these failures has lasted."),
        }),
      )
      .describe("What fails in this process at the moment and is tried again. The log says why."),
  })
  .meta({ id: "Health", description: "The health of this process." });
export type Health = z.infer<typeof Health>;

const WorkerStatus = z
  .object({
    id: z.string(),
    host: z.string(),
    pid: z.int(),
    started_at: Time,
    draining: z.boolean().describe("True if it gives back the jobs it runs and takes no more."),
    threads: z.object({ busy: Count, total: Count }),
    jobs: z.object({
      running: Count,
      max: Count,
      ids: z.array(JobId.or(PredictionId)).describe("The ids of your jobs and predictions among them."),
    }),
  })
  .meta({ id: "WorkerStatus", description: "A worker that has reported within the last ten seconds." });

export const ServiceStatus = z
  .object({
    workers: z.array(WorkerStatus),
    jobs: z
      .object(Object.fromEntries(JobStatus.options.map((status) => [status, Count])) as Record<JobStatus, typeof Count>)
      .describe("Number of jobs of each status, of all owners.")
      .meta({
        examples: [{ ...Object.fromEntries(JobStatus.options.map((status) => [status, 0])), queued: 3, running: 2 }],
      }),
    queue: z
      .object({
        waiting: Count.describe("Number of jobs that wait for a worker."),
        active: Count.describe("Number of jobs that a worker has."),
        delayed: Count.describe("Number of jobs that wait until their owner may run more."),
        oldest_seconds: z.number().nullable().describe("Seconds that the longest-waiting job has waited."),
      })
      .describe("Jobs and predictions of all owners, on their way to workers."),
    store: z
      .object({
        used_bytes: Count.describe("Bytes that Redis holds."),
        reserved_bytes: Count.describe("Bytes that jobs which have not ended may still need."),
        limit_bytes: Count.nullable().describe("Limit of the sum of both; null if Redis has no limit."),
        full: z
          .boolean()
          .describe("Whether requests that were refused because of lack of room would be refused again."),
      })
      .describe("How full the store is."),
  })
  .meta({ id: "ServiceStatus", description: "The service as a whole." });
export type ServiceStatus = z.infer<typeof ServiceStatus>;
