/**
 * Creates the jobs of a batch, each for itself: what is wrong with one does not stop the others.
 *
 * With an idempotency key the ids of all jobs are fixed before the first is created. A batch that
 * is sent again finds the jobs that are there by their ids, and creates the others. So it completes
 * what a process that died has left undone.
 */
import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { canonicalJson } from "../contract/resolve/canonical.ts";
import { resolveSpec } from "../contract/resolve/resolve.ts";
import type { Job, JobSummary } from "../contract/wire/job.ts";
import type { ProblemDocument } from "../contract/wire/problem.ts";
import type { JobBatchResults } from "../contract/wire/job-batch.ts";
import { idAfter, type BatchBegun } from "../store/new-job.ts";
import type { BatchEntry } from "./batch-body.ts";
import { createdJob, createJob, keyMismatch, newJobId, resolveContext } from "./job-creation.ts";
import { Pace } from "./pace.ts";
import { loggedProblem } from "./plugins/problems.ts";
import type { Services } from "./services.ts";

/** How many jobs are created at once. They share writes to the disk. */
const AT_ONCE = 16;
/** How many records are read together. */
const READ_AT_ONCE = 100;

type Result = JobBatchResults["results"][number];

/** @throws Problem if the idempotency key was used for another body */
export async function beginBatch(
  { store }: Pick<Services, "store">,
  owner: string,
  key: string | undefined,
  entries: readonly BatchEntry[],
): Promise<Omit<BatchBegun, "outcome"> & { replayed: boolean }> {
  const firstId = await newJobId(store);
  if (key === undefined) return { firstId, replayed: false };
  const begun = await store.jobs.beginBatch(owner, firstId, { key, bodySha256: await hashOf(entries) });
  if (begun.outcome === "mismatch") throw keyMismatch();
  return { firstId: begun.firstId, replayed: begun.outcome === "replayed" };
}

/** The same for all ways to write the batch. */
async function hashOf(entries: readonly BatchEntry[]): Promise<string> {
  const hash = createHash("sha256").update("batch");
  const pace = new Pace();
  for (const { text, spec, problem } of entries) {
    await pace.turn();
    hash.update("\n").update(problem === null ? canonicalJson(spec) : text);
  }
  return hash.digest("hex");
}

export async function createBatch(
  services: Services,
  reply: FastifyReply,
  entries: readonly BatchEntry[],
  { firstId, replayed }: { firstId: string; replayed: boolean },
): Promise<Result[]> {
  const ids = entries.map((_, i) => idAfter(firstId, i));
  const results = replayed ? await known(services, reply.request, ids) : ids.map(() => null);
  const create = creator(services, reply);
  const open = results.flatMap((result, i) => (result === null ? [i] : []));
  const pace = new Pace();
  // Each takes the next job until none is left.
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (let i = open.shift(); i !== undefined; i = open.shift()) {
      await pace.turn();
      results[i] = await create(entries[i], ids[i]);
    }
  });
  await Promise.all(workers);
  return results as Result[];
}

/** The jobs that are there; null for the others. */
async function known({ store }: Services, { owner }: FastifyRequest, ids: string[]): Promise<(Result | null)[]> {
  const found: (Result | null)[] = [];
  const pace = new Pace();
  for (let i = 0; i < ids.length; i += READ_AT_ONCE) {
    await pace.turn();
    const jobs = await store.jobs.summaries(owner, ids.slice(i, i + READ_AT_ONCE));
    for (const job of jobs) found.push(job && { status: 201, job });
  }
  return found;
}

function creator(services: Services, reply: FastifyReply): (entry: BatchEntry, id: string) => Promise<Result> {
  const { request } = reply;
  const context = resolveContext(services, reply);
  let counted = 0;
  return async ({ spec, problem }, id) => {
    try {
      // The request itself counts for the first.
      if (counted++ > 0) await reply.countRequest();
      if (problem !== null) throw problem;
      const resolved = await resolveSpec(spec, context);
      const created = await createJob(services, request, resolved, { id, idempotency: null });
      return { status: 201, job: summaryOf(createdJob(created)) };
    } catch (error) {
      const refusal = loggedProblem(error, request);
      return { status: refusal.status, problem: refusal.document(request.id) as ProblemDocument };
    }
  };
}

function summaryOf({ spec: _spec, warnings: _warnings, ...summary }: Job): JobSummary {
  return summary;
}
