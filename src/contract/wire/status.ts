/** The state of a process, and of the service as a whole. */
import { z } from "zod";
import { Count, JobId, Time } from "./common.ts";
import { JobStatus } from "./job.ts";

export const Health = z
  .object({
    status: z
      .enum(["ok", "degraded", "unavailable"])
      .describe("`degraded`: it serves, but not everything; `checks` says what it lacks."),
    checks: z.record(z.string(), z.string()).meta({ examples: [{ redis: "ok" }] }),
    retrying: z
      .array(
        z.object({
          loop: z.string().meta({ examples: ["record"] }),
          count: Count.describe("How many loops of that name fail now."),
          failures: Count.describe("How often they failed in a row, together."),
          seconds: Count.describe("For how long the one has failed that fails the longest."),
        }),
      )
      .describe("What fails in this process at the moment and is tried again; the log says why."),
  })
  .meta({ id: "Health", description: "The health of this process." });
export type Health = z.infer<typeof Health>;

const WorkerStatus = z
  .object({
    id: z.string(),
    host: z.string(),
    pid: z.int(),
    started_at: Time,
    draining: z.boolean().describe("It gives back what it runs, and takes nothing more."),
    threads: z.object({ busy: Count, total: Count }),
    jobs: z.object({
      running: Count,
      max: Count,
      ids: z.array(JobId).describe("Those of them that are yours."),
    }),
  })
  .meta({ id: "WorkerStatus", description: "A worker that was heard of within the last ten seconds." });

export const ServiceStatus = z
  .object({
    workers: z.array(WorkerStatus),
    jobs: z
      .object(Object.fromEntries(JobStatus.options.map((status) => [status, Count])) as Record<JobStatus, typeof Count>)
      .describe("How many jobs, of all owners, have which status.")
      .meta({
        examples: [{ ...Object.fromEntries(JobStatus.options.map((status) => [status, 0])), queued: 3, running: 2 }],
      }),
    queue: z
      .object({
        waiting: Count,
        active: Count,
        delayed: Count,
        oldest_seconds: z.number().nullable().describe("For how long the job has waited that waits longest."),
      })
      .describe("Deliveries of jobs to workers."),
    store: z
      .object({
        used_bytes: Count.describe("What Redis holds."),
        reserved_bytes: Count.describe("What jobs that have not ended may yet need beside it."),
        limit_bytes: Count.nullable().describe("How much both may be; null: Redis has no limit."),
        full: z.boolean().describe("Whether what was refused for want of room would be refused again."),
      })
      .describe("How full the store is."),
  })
  .meta({ id: "ServiceStatus", description: "The service as a whole." });
export type ServiceStatus = z.infer<typeof ServiceStatus>;
