/**
 * The list of an owner's jobs. The cursor is an id, so jobs that come or go meanwhile do not shift
 * the pages. A status has an index. Metadata have none: their keys and values are the owner's own.
 * So a filter by metadata looks at every job, but only at so many for one page.
 */
import type { Page } from "../contract/wire/common.ts";
import type { JobStatus, JobSummary } from "../contract/wire/job.ts";
import type { Archive } from "./archive/archive.ts";
import { readRecord } from "./archive/kept.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { idsOf, page, type PageOptions } from "./pages.ts";
import { summaryFields, toSummary } from "./record.ts";

/** How many jobs a page looks at, at most. */
export const MOST_LOOKED_AT = 10_000;

/** How many of them one script reads. */
const BATCH = 500;

export interface JobQuery extends PageOptions {
  statuses?: JobStatus[];
  /** Pairs that a job's metadata must have. */
  metadata?: Record<string, string>;
}

/** A page may have fewer jobs than `limit`, or none, although more follow. */
export async function listJobs(
  database: Database,
  archive: Archive,
  owner: string,
  query: JobQuery,
): Promise<Page<JobSummary>> {
  const { limit, after, statuses, metadata = {} } = query;
  const pairs = Object.entries(metadata);
  const found: JobSummary[] = [];
  let cursor = after;
  for (let lookedAt = 0; found.length <= limit;) {
    if (lookedAt >= MOST_LOOKED_AT) return { data: found, has_more: true, next: cursor! };
    const missing = limit + 1 - found.length;
    const ids = await idsBefore(database, owner, statuses, cursor, pairs.length === 0 ? missing : BATCH);
    if (ids.length === 0) break;
    lookedAt += ids.length;
    const fitting = await withMetadata(database, owner, ids, pairs);
    const taken = fitting.slice(0, missing);
    cursor = taken.length < fitting.length ? taken.at(-1) : ids.at(-1);
    const jobs = await summariesOf(database, archive, owner, taken);
    // A job may have got another status since its id was read, or be gone.
    found.push(...jobs.filter((job): job is JobSummary => job !== null && (statuses?.includes(job.status) ?? true)));
  }
  return page(found, limit, (job) => job.id);
}

async function idsBefore(
  database: Database,
  owner: string,
  statuses: JobStatus[] | undefined,
  cursor: string | undefined,
  most: number,
): Promise<string[]> {
  const indexes = statuses?.map((status) => keys.jobsWith(owner, status)) ?? [keys.jobs(owner)];
  const { below, from } = idsOf("job_", cursor);
  const ids = await database.use((redis) =>
    Promise.all(indexes.map((index) => redis.zrevrangebylex(index, below, from, "LIMIT", 0, most))),
  );
  // A job that changes its status between the two queries is in both lists.
  return [...new Set(ids.flat())].sort().reverse().slice(0, most);
}

async function withMetadata(database: Database, owner: string, ids: string[], pairs: [string, string][]) {
  if (pairs.length === 0) return ids;
  const texts = await database.run<(string | null)[]>("read_metadata", keys.job(owner, ids[0]), ...ids);
  return ids.filter((_, i) => {
    const has = JSON.parse(texts[i] ?? "null") as Record<string, string> | null;
    return has !== null && pairs.every(([key, value]) => has[key] === value);
  });
}

/** Null for a job that is not there. */
export async function summariesOf(
  database: Database,
  archive: Archive,
  owner: string,
  ids: readonly string[],
): Promise<(JobSummary | null)[]> {
  const jobs = await Promise.all(ids.map((id) => readRecord(database, archive, keys.job(owner, id), summaryFields)));
  return jobs.map((fields, i) => fields && toSummary(ids[i], fields));
}
