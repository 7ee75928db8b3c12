/** What a trial's jobs are, and what came of them. */
import { Faulty, faulty } from "../contract/errors.ts";
import { resolveFork, type Fork } from "../contract/resolve/fork.ts";
import { patchBetween } from "../contract/resolve/merge-patch.ts";
import { resolveSpec, type ResolveContext } from "../contract/resolve/resolve.ts";
import type { Spec } from "../contract/schema/spec.ts";
import { isFinal, type JobSummary } from "../contract/wire/job.ts";
import { beginning, checkpointOf } from "./fork-source.ts";
import { createdJob, createJob } from "./job-creation.ts";
import { limited } from "./plugins/problems.ts";
import type { Services } from "./services.ts";
import { NoRoom, OverLimit } from "../store/errors.ts";
import { jobsOf, type StoredTrial, type StudySettings } from "../store/studies.ts";
import { withValues, type Parameter } from "../studies/space.ts";
import type { EndedTrial, Rung } from "../studies/study.ts";

export interface TrialContext {
  readonly services: Pick<Services, "store" | "files" | "queue" | "traceContext">;
  readonly request: Parameters<typeof createJob>[1];
  readonly resolving: ResolveContext;
  readonly id: string;
  readonly settings: StudySettings;
  readonly firstJob: string;
  readonly parameters: readonly Parameter[];
}

/** Why a trial does not start: its spec is refused, or there is no room for its jobs now. */
export interface Refusal {
  readonly for: "good" | "now";
  readonly why: string;
}

/**
 * Creates the jobs of a trial that are not there yet. Null: all are there.
 * @param line the trial, and those that it goes on from
 */
export async function createJobs(
  context: TrialContext,
  line: readonly StoredTrial[],
  ids: readonly string[],
): Promise<Refusal | null> {
  try {
    for (const [seed, id] of ids.entries()) {
      if (line.length === 1) await createFresh(context, specOf(context, line, seed), id);
      else await createFork(context, line, seed, id);
    }
    return null;
  } catch (error) {
    if (error instanceof Faulty) return { for: "good", why: error.message };
    if (error instanceof OverLimit || error instanceof NoRoom) return { for: "now", why: lackOf(error) };
    throw error;
  }
}

async function createFresh({ services, request, resolving }: TrialContext, spec: Spec, id: string): Promise<void> {
  createdJob(await createJob(services, request, await resolveSpec(spec, resolving), { id, idempotency: null }));
}

/** Goes on from the job of the same seed. */
async function createFork(
  context: TrialContext,
  line: readonly StoredTrial[],
  seed: number,
  id: string,
): Promise<void> {
  const { services, request, resolving, settings, firstJob } = context;
  const { store } = services;
  // The job before may be gone by now.
  if ((await store.jobs.progress(request.owner, id)) !== null) return;
  const before = jobsOf(line[1].number, { settings, firstJob })[seed];
  const parent = await store.jobs.get(request.owner, before);
  if (parent?.status !== "succeeded")
    throw faulty("invalid_spec", [{ pointer: "/step", message: `means a checkpoint of ${before}, which was deleted` }]);
  const overrides = patchBetween(specOf(context, line.slice(1), seed), specOf(context, line, seed));
  const find = (step: Fork["step"]) => checkpointOf(store, request.owner, parent, step);
  const fork = await resolveFork({ step: "final", overrides }, parent, find, resolving);
  const use = { id, idempotency: null, fork: beginning(parent, fork) };
  createdJob(await createJob(services, request, fork.resolved, use));
}

function lackOf(error: OverLimit | NoRoom): string {
  if (error instanceof NoRoom)
    return `The store is full: the next trial may need ${error.needBytes} bytes, and ${error.freeBytes} are free.`;
  const { what, limit, used, more } = error;
  return `You may have ${limit} ${limited[what].kind}; you have ${used}, and the next trial would be ${more} more.`;
}

function specOf({ id, settings, parameters }: TrialContext, line: readonly StoredTrial[], seed: number): Spec {
  const [{ number, values, thresholds }] = line;
  const spec = withValues(settings.spec, parameters, values) as Spec;
  const metadata = { ...spec.metadata, study: id, trial: String(number) };
  const training = {
    ...spec.training,
    seed: (spec.training.seed ?? 0) + seed,
    pruning: thresholds.length === 0 ? null : { metric: settings.objective, rungs: thresholds },
  };
  // It trains for so many epochs more than the one before it.
  const epochs = line.length === 1 ? training.epochs : line.length * settings.epochs;
  return { ...spec, metadata, training: { ...training, epochs } } as Spec;
}

type Ended = Pick<StoredTrial, "value" | "rungs" | "weights_sha256" | "error"> & { status: EndedTrial["status"] };

/** These jobs, by their ids, without those that are deleted. */
export async function jobsIn(
  { services: { store }, request: { owner } }: TrialContext,
  ids: readonly string[],
): Promise<Map<string, JobSummary>> {
  const found = new Map<string, JobSummary>();
  for (let i = 0; i < ids.length; i += AT_ONCE) {
    for (const job of await store.jobs.summaries(owner, ids.slice(i, i + AT_ONCE)))
      if (job !== null) found.set(job.id, job);
  }
  return found;
}

/** What came of a trial whose jobs have all ended; null if they have not. */
export async function outcomeOf(
  { services: { store }, request: { owner }, settings }: TrialContext,
  trial: StoredTrial,
  jobs: readonly (JobSummary | null)[],
): Promise<Ended | null> {
  if (jobs.some((job) => job !== null && !isFinal(job.status))) return null;
  const there = jobs.filter((job) => job !== null);
  const curves = [];
  for (const job of trial.thresholds.length === 0 ? [] : there) {
    curves.push(await rungsOf(store, owner, job, settings.objective, trial.thresholds));
  }
  const rungs = meanRungs(curves, trial.thresholds);
  const ended = (status: Ended["status"], error: string | null = null): Ended => ({
    status,
    value: null,
    rungs,
    weights_sha256: [],
    error,
  });
  // A job that was deleted was ended by hand before, at the latest.
  if (there.length < jobs.length || there.some(({ status }) => status === "cancelled")) return ended("cancelled");
  const failed = there.find(({ status }) => status === "failed");
  if (failed) return ended("failed", failed.error?.message ?? "");
  const results = there.map(({ result }) => result!);
  if (results.some(({ stop_reason }) => stop_reason === "pruned")) return ended("pruned");
  const values = results.map(({ metrics }) => metrics[settings.objective] ?? null);
  if (!values.every((value) => value !== null)) return ended("failed", `${settings.objective} is not a finite number.`);
  const weights_sha256 = results.map((result) => result.weights_sha256);
  return { ...ended("succeeded"), value: meanOf(values), weights_sha256 };
}

const AT_ONCE = 100;

/** The objective of a job at the rungs that it reached: at the first evaluation there or later. */
async function rungsOf(
  store: Services["store"],
  owner: string,
  { id, progress: { total_steps: steps, total_epochs: epochs } }: JobSummary,
  objective: string,
  thresholds: readonly Rung[],
): Promise<number[]> {
  const found: number[] = [];
  for await (const rows of store.jobs.metrics(owner, id)) {
    for (const { names, steps: at, values } of rows) {
      const column = values[names.indexOf(objective)];
      if (column === undefined) continue;
      column.forEach((value, i) => {
        if (Number.isNaN(value)) return;
        while (found.length < thresholds.length && at[i] * epochs >= thresholds[found.length].epoch * steps)
          found.push(value);
      });
    }
  }
  return found;
}

/** The means at the rungs that all seeds reached. */
function meanRungs(curves: readonly number[][], thresholds: readonly Rung[]): Rung[] {
  const reached = curves.reduce((least, { length }) => Math.min(least, length), curves.length === 0 ? 0 : Infinity);
  return thresholds
    .slice(0, reached)
    .map(({ epoch }, i) => ({ epoch, value: meanOf(curves.map((curve) => curve[i])) }));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
