import type { JobStatus } from "../contract/wire/job.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import type { Hold } from "./taken.ts";

/**
 * What is to blame if a run dies now: `own`, its job; `shared`, its job or another job of the same
 * process; `none`, nothing, because the process was told to end.
 */
export type Blame = "own" | "shared" | "none";

/**
 * Extends leases, and claims, in one script. Returns the status of each job, which says what is
 * wanted of its run; null: the lease is someone else's.
 */
export async function renew(
  database: Database,
  leaseMs: number,
  leases: readonly (Hold & { blame: Blame })[],
  claims: readonly string[] = [],
): Promise<(JobStatus | null)[]> {
  const each = leases.flatMap(({ owner, jobId, run, token, blame }) => [keys.job(owner, jobId), run, token, blame]);
  const statuses = await database.run<(JobStatus | "")[]>("renew", keys.due, leaseMs, JSON.stringify(claims), ...each);
  return statuses.map((status) => (status === "" ? null : status));
}
