/** Turns a job's record and its dataset into what the engine trains on. */
import { withTable, type TablePath } from "../data/beside.ts";
import { encode } from "../data/encode/encoding-cache.ts";
import type { Encoded, Encoding } from "../data/encode/encoding.ts";
import { DatasetUnreachable, type DatasetCache, type WantedDataset } from "../data/files/cache.ts";
import { DatasetLost, type StoredDataset } from "../data/dataset.ts";
import { diskFault } from "../disk-fault.ts";
import type { DatasetFiles } from "../data/files/dataset-files.ts";
import { takenBy } from "../engine/plan/taken.ts";
import { fromExactJson } from "../engine/state/numbers.ts";
import { configure } from "../engine/optimizers/configure.ts";
import { evaluatesOthers, type TrainingJob } from "../engine/job.ts";
import { extractModels, forkState } from "../engine/state/state-worker.ts";
import { targetsOf } from "../engine/losses/targets.ts";
import { trainingJob } from "../contract/training-job.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import { Damaged } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { Store } from "../store/store.ts";
import type { Work } from "../store/work.ts";
import { datasetUnavailable, unreadable } from "./failures.ts";
import { persist, type Life } from "./persist.ts";

/** Where a run begins. */
export interface Start {
  /** The work as it is after damaged checkpoints were given up. */
  work: Work;
  /** The state from which the run continues; null at the beginning. */
  state: Uint8Array | null;
  /** The weights to begin with; null: random ones, or those of the state. */
  weights: Uint8Array | null;
}

export interface Prepared extends Start {
  training: TrainingJob;
  encoding: Encoding;
}

export interface Sources {
  store: Store;
  /** The datasets that were uploaded to this machine. */
  files: DatasetFiles;
  /** Copies of datasets of other machines; null if there is no API to get them from. */
  cache: DatasetCache | null;
}

/** @throws JobFailure, DatasetUnreachable */
export async function prepare(lease: Lease, work: Work, read: ReadData, life: Life): Promise<Prepared> {
  const [{ data, encoding }, start] = await Promise.all([read(lease.owner, work, life), readStart(lease, work, life)]);
  return { training: trainingJob(work.spec, data), encoding, ...start };
}

/** Reads the data of a job. @throws JobFailure, DatasetUnreachable */
export type ReadData = (owner: string, wanted: WantedData, life: Life) => Promise<Encoded>;

export type WantedData = Pick<Work, "datasetIds" | "inherited"> & {
  readonly spec: Pick<ResolvedSpec, "data" | "loss" | "model">;
};

export function readFrom(sources: Sources): ReadData {
  return async (owner, { spec, datasetIds, inherited }, life) =>
    await useTable(owner, datasetIds, sources, life, (table) =>
      encode(table, spec.data, targetsOf(spec.loss), takenBy(spec.model.layers), inherited),
    );
}

/**
 * What `read` makes of the table of an owner's datasets.
 * @throws JobFailure, DatasetUnreachable, and what `read` throws
 */
export async function useTable<T>(
  owner: string,
  ids: readonly string[],
  sources: Sources,
  life: Life,
  read: (table: TablePath) => Promise<T>,
): Promise<T> {
  const datasets = await persist(life, () => Promise.all(ids.map((id) => sources.store.datasets.get(owner, id))));
  if (datasets.length === 0 || !datasets.every((dataset) => dataset !== null))
    throw datasetUnavailable("The dataset has no record any more.");
  try {
    return await withTable(datasets, (dataset, use) => readDataset({ ...dataset, owner }, sources, use), read);
  } catch (error) {
    if (error instanceof DatasetLost) throw datasetUnavailable(error.message);
    const fault = diskFault(error);
    if (fault === null) throw error;
    const named = ids.length === 1 ? `dataset ${ids[0]} lies` : `datasets ${ids.join(", ")} lie`;
    throw new DatasetUnreachable(`The disk that ${named} on ${fault}.`, { cause: error });
  }
}

/**
 * Reads a dataset that was uploaded to this machine. If it is missing or lost here, the API may
 * have it.
 */
async function readDataset<T>(
  dataset: StoredDataset & WantedDataset,
  { files, cache }: Sources,
  read: (columnsPath: string) => Promise<T>,
): Promise<T> {
  if (cache === null || (await files.has(dataset))) {
    try {
      return await files.use(dataset, read);
    } catch (error) {
      if (!(error instanceof DatasetLost) || cache === null) throw error;
    }
  }
  return await cache.use(dataset, read);
}

/**
 * Reads the state of the job's last undamaged checkpoint. Without one, the run begins with the
 * fork's origin, or with nothing. Damaged checkpoints are given up; the run computes their steps
 * again, to the same bytes.
 */
export async function readStart(lease: Lease, work: Work, life: Life): Promise<Start> {
  const { spec, checkpoint, origin } = work;
  if (checkpoint !== null) {
    const state = await readUndamaged(() => lease.checkpointBytes(checkpoint.step), life);
    if (state !== null) return { work, state, weights: null };
    return await readStart(lease, await fallBack(lease, work, checkpoint, life), life);
  }
  if (origin === null) return { work, state: null, weights: null };
  const file = await readUndamaged(() => lease.originBytes(origin), life);
  // With other weights the result would be another model, and nobody would notice.
  if (file === null) throw unreadable(origin.step, DAMAGED, AGAIN[origin.use === "init" ? "init" : "fork"]);
  if (origin.use === "init") return { work, state: null, weights: file };
  if (origin.use !== "state") {
    const { models } = await extractModels(file, [origin.use]);
    return { work, state: null, weights: models[0].bytes };
  }
  const successor = {
    keepBest: spec.checkpoint.keep_best,
    evaluatesOthers: evaluatesOthers(configure(spec.optimizer).type, spec.training),
    optimizer: spec.optimizer,
    groups: spec.parameter_groups,
  };
  const changes = fromExactJson(JSON.stringify(origin.changes)) as object;
  return { work, state: (await forkState(file, changes, successor)).bytes, weights: null };
}

/** How to begin again once what a job began with is gone. */
const AGAIN = { init: "Post the job again.", fork: "Fork this job's parent again." };

const DAMAGED = "its bytes are missing or damaged";

/** The bytes, or null if they are damaged. */
async function readUndamaged(read: () => Promise<Buffer>, life: Life): Promise<Buffer | null> {
  try {
    return await persist(life, read);
  } catch (error) {
    if (error instanceof Damaged) return null;
    throw error;
  }
}

async function fallBack(lease: Lease, { spec }: Work, { step }: Checkpoint, life: Life): Promise<Work> {
  life.log.warn({ step }, "a checkpoint is damaged: going back to the one before");
  const outcome = await persist(life, () => lease.fallBack(step));
  if (outcome === "stuck") {
    const why = `${DAMAGED}, and there is no other one left`;
    throw unreadable(step, why, AGAIN[spec.init === null ? "fork" : "init"]);
  }
  return await persist(life, () => lease.work());
}
