/** The models of a set, from the files of its shards. */
import { faulty, Problem } from "../contract/errors.ts";
import type { Fault } from "../contract/resolve/faults.ts";
import { isFinal, type Job } from "../contract/wire/job.ts";
import type { Which } from "../contract/wire/prediction.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import type { SetModel, SetModelDetails } from "../contract/wire/model-set.ts";
import { DatasetLost } from "../data/dataset.ts";
import { DamagedFile, isDamage } from "../data/files/disk.ts";
import type { Caller } from "../data/pool.ts";
import { meters } from "../meters.ts";
import { setSource, type SetSource } from "../predict/set.ts";
import { ShardFile, type ModelEntry, type ShardModel } from "../sets/shard-file.ts";
import type { Listed, Listing } from "../sets/set-index.ts";
import { runForSets } from "../sets/pool.ts";
import { NotStackable, stacked, type Stacked } from "../sets/stacked.ts";
import { Damaged } from "../store/errors.ts";
import type { File } from "../store/job-results.ts";
import { OPEN_SHARDS } from "../store/room-numbers.ts";
import { indexId, partId, shardId, type EndedSet } from "../store/sets.ts";
import { notFound } from "./plugins/problems.ts";
import { noSuchJob } from "./routes/jobs.ts";
import { assertSucceeded, noBest } from "./served-model.ts";
import type { Services } from "./services.ts";

const AGAIN = "Post the job again: it makes the same models.";

/** @throws Problem unless there is such a set */
async function setOf({ store }: Pick<Services, "store">, owner: string, id: string): Promise<[Job, EndedSet]> {
  const [job, set] = await Promise.all([store.jobs.get(owner, id), store.sets.find(owner, id)]);
  if (job === null) throw noSuchJob();
  if (set === null)
    throw notFound("This job makes one model: read /model of it. A set of models has partition_by, folds or seeds.");
  return [job, set];
}

/**
 * What `use` makes of a model of a set.
 * @throws Problem if there is no such model, or it has not ended, DatasetLost if it is lost
 */
export async function useModel<T>(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  id: string,
  number: number,
  use: (model: ShardModel) => T,
): Promise<T> {
  const [job, set] = await setOf({ store }, owner, id);
  if (number >= set.models) throw notFound(`The set has ${set.models} models, whose numbers begin with 0.`);
  const path = files.results.pathOf(shardId(id, Math.floor(number / set.shardModels)));
  const read = async () => {
    const file = await ShardFile.open(path);
    try {
      return use(await file.model(number));
    } finally {
      await file.close();
    }
  };
  if (job.status === "succeeded") return await unlessLost(store, owner, id, read);
  return await read().catch((error: unknown) => {
    throw error instanceof DamagedFile ? notEnded(job.status, "This model") : error;
  });
}

/**
 * The pooled model of a set: how it is used, and its weights.
 * @throws Problem if there is none, or it is not trained yet, Damaged if its weights are lost
 */
export async function usePooled(
  { store }: Pick<Services, "store">,
  owner: string,
  id: string,
): Promise<{ description: ModelDescription; file(which: Which): Promise<File> }> {
  const [job, set] = await setOf({ store }, owner, id);
  if (!set.spec.training.pooled) throw notFound('The set has no pooled model: its spec lacks "pooled" in /training.');
  const description = await store.sets.pooled(owner, id);
  if (description === null) throw notEnded(job.status, "The pooled model");
  const file = async (which: Which) => {
    const found = await store.jobs.model(owner, id, which);
    if (found !== null) return found;
    if (which === "best") throw notFound("The pooled model kept no best weights.");
    // The set may have been deleted meanwhile.
    await setOf({ store }, owner, id);
    throw new Damaged("model");
  };
  return { description, file };
}

/**
 * All models of a set that succeeded; null if the job is no set. `sha256`: that of the result.
 * @throws Problem, DatasetLost
 */
export async function stackedModels(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  id: string,
  which: Which,
): Promise<(Stacked & { readonly sha256: string }) | null> {
  const [job, set] = await Promise.all([store.jobs.get(owner, id), store.sets.find(owner, id)]);
  if (job === null || set === null) return null;
  if (job.status !== "succeeded") throw notEnded(job.status, "The set");
  if (which === "best") throw notFound("The best weights of a set are read model by model: /models/{number}/model.");
  try {
    const { shards } = setSource(job, set, (part) => files.results.pathOf(partId(id, part)));
    const all = await unlessLost(store, owner, id, () => stacked(shards));
    return { ...all, sha256: job.result!.weights_sha256 };
  } catch (error) {
    throw error instanceof NotStackable ? new Problem("not_stackable", error.message) : error;
  }
}

/**
 * What a set that has succeeded predicts with; null if the job is no set.
 * @throws Problem if it kept no such weights
 */
export async function servedSet(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  id: string,
  which: Which,
): Promise<{ job: Job; set: EndedSet; source: SetSource } | null> {
  const [job, set] = await Promise.all([store.jobs.get(owner, id), store.sets.find(owner, id)]);
  if (job === null || set === null) return null;
  assertSucceeded(job.status);
  if (which === "best" && !job.spec.checkpoint.keep_best) throw noBest();
  return { job, set, source: setSource(job, set, (part) => files.results.pathOf(partId(id, part))) };
}

/** What models are sorted by; null: by their numbers. With `-` before it the largest come first. */
function sortOf(text: string): Listing["sort"] {
  const descending = text.startsWith("-");
  const by = descending ? text.slice(1) : text;
  return by === "number" ? null : { by, descending };
}

interface Asked extends Pick<Listing, "after" | "limit" | "status"> {
  readonly sort: string;
}

interface ModelPage {
  data: SetModel[];
  has_more: boolean;
  next: string | null;
}

/** A page of the models of a set that have ended. @throws Problem, DatasetLost */
export async function listModels(
  { store, files }: Pick<Services, "store" | "files">,
  caller: Caller & { readonly owner: string },
  id: string,
  asked: Asked,
): Promise<ModelPage> {
  const [job, set] = await setOf({ store }, caller.owner, id);
  if (job.status !== "succeeded") return pageOf(await endedModels(files, caller, job, set, asked));
  const path = files.results.pathOf(indexId(id));
  const { sort, ...query } = asked;
  const page = await unlessLost(store, caller.owner, id, () =>
    runForSets("listIndexed", { ...query, path, sort: sortOf(sort) }, caller),
  );
  if ("known" in page) throw faulty("invalid_parameter", [sortFault(page.known)]);
  return pageOf(page);
}

/** Those that have ended while the others are trained. */
async function endedModels(
  { results }: Services["files"],
  caller: Caller,
  { status }: Job,
  { id, shardModels, openedShards }: EndedSet,
  { sort, after, limit, status: wanted }: Asked,
): Promise<Listed> {
  if (isFinal(status))
    throw new Problem("wrong_status", `The set has no results; the job is ${status}.`, { current_status: status });
  if (sort !== "number" || wanted !== null) {
    const detail = `Before its end a set lists its models by number, without sort and status; the job is ${status}.`;
    throw new Problem("wrong_status", detail, { current_status: status });
  }
  const first = Math.floor(((after ?? -1) + 1) / shardModels);
  // Between those that have ended there are never more open ones.
  const shards = Math.ceil(limit / shardModels) + 2 + OPEN_SHARDS;
  const numbers = Array.from({ length: Math.max(0, Math.min(shards, openedShards - first)) }, (_, i) => first + i);
  const paths = numbers.map((number) => results.pathOf(shardId(id, number)));
  return await runForSets("listEnded", { paths, after, limit }, caller);
}

function pageOf({ entries, hasMore }: Listed): ModelPage {
  return { data: entries.map(toSetModel), has_more: hasMore, next: hasMore ? String(entries.at(-1)!.number) : null };
}

function sortFault(known: readonly string[]): Fault {
  const names = ["number", ...known].join(", ");
  return { pointer: "?sort", message: `must be one of ${names}; - before all but number puts the largest first` };
}

/** @throws DatasetLost if a file is missing or damaged, Problem if the set was deleted meanwhile */
export async function unlessLost<T>(
  store: Services["store"],
  owner: string,
  id: string,
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use();
  } catch (error) {
    if (!isDamage(error)) throw error;
    if ((await store.jobs.get(owner, id)) === null) throw noSuchJob();
    meters.damage.inc({ what: "set" });
    throw new DatasetLost(`A file of this set is missing or damaged: ${(error as Error).message}`, AGAIN);
  }
}

function notEnded(status: Job["status"], what: string): Problem {
  const detail = `${what} has not ended; the job is ${status}.`;
  return new Problem("wrong_status", detail, { current_status: status });
}

function toSetModel({ key, fold, seed, ...entry }: ModelEntry): SetModel {
  const { number, status, rows, steps, metrics, weights_sha256, error } = entry;
  return { number, key: { ...key, fold, seed }, status, rows, steps, metrics, weights_sha256, error };
}

export function toDetails(jobId: string, { entry, ...model }: ShardModel): SetModelDetails {
  const { epochs, stop_reason, best } = entry;
  return { ...toSetModel(entry), epochs, stop_reason, best, description: model.notes(), job_id: jobId };
}
