/*
 * A dataset is a record and two files: its bytes, and the columns that one reading made of them.
 * The same bytes are one file for all readings, owners and processes; the same columns likewise.
 * Weights are a record and one file.
 * Within a process, operations on the files of the same bytes run one after the other. Between
 * processes the following order holds, so that no record is left without its files:
 *
 * - An upload puts the files there, then writes the record, and then looks whether the files are
 *   still there.
 * - A deletion takes those files away ("retires" them) that no other record refers to, then removes
 *   the record, then looks for other records of each file, and puts it back if there is one.
 *
 * If an upload and a deletion run at once, at least one of them sees what the other did. A file
 * without a record may remain; the next start removes it.
 */
import type { FastifyBaseLogger } from "fastify";
import { crashPoint } from "../crash-point.ts";
import { withTable, type TablePath } from "../data/beside.ts";
import { DatasetLost, filesOf, type Named } from "../data/dataset.ts";
import type { Draft } from "../data/files/dataset-files.ts";
import { weightsFile, type WeightsDraft } from "../data/files/weight-files.ts";
import { retryLater } from "../contract/errors.ts";
import type { Dataset } from "../contract/wire/dataset.ts";
import type { Weights } from "../contract/wire/weights.ts";
import type { Uploaded } from "../store/uploaded.ts";
import type { Services } from "./services.ts";

type Places = Pick<Services, "store" | "files">;

/**
 * Makes a dataset of what was read. If its owner already has a dataset of these bytes with this
 * reading, that record is kept.
 */
export async function recordDataset(
  { store, files }: Places,
  owner: string,
  name: string | null,
  draft: Draft,
): Promise<{ record: Dataset; created: boolean }> {
  const { content } = draft;
  const id = `ds_${await store.newUlid()}`;
  return await record({ store, files }, owner, store.datasets, { id, name, ...content }, filesOf(content), draft);
}

/**
 * What `read` makes of the table of datasets; null if there are none, if one does not exist, or is
 * deleted meanwhile.
 * @throws DatasetLost, and what `read` throws
 */
export async function readTable<T>(
  { store, files }: Places,
  owner: string,
  ids: readonly string[],
  read: (table: TablePath) => Promise<T>,
): Promise<T | null> {
  const find = () => Promise.all(ids.map((id) => store.datasets.get(owner, id)));
  const records = await find();
  if (records.length === 0 || !records.every((record) => record !== null)) return null;
  try {
    return await withTable(records, (record, use) => files.use(record, use), read);
  } catch (error) {
    if (error instanceof DatasetLost && (await find()).includes(null)) return null;
    throw error;
  }
}

/** Makes weights of what was read. If their owner already has these bytes, that record is kept. */
export async function recordWeights(
  { store, files }: Places,
  owner: string,
  name: string | null,
  draft: WeightsDraft,
): Promise<{ record: Weights; created: boolean }> {
  const { content } = draft;
  const id = `w_${await store.newUlid()}`;
  return await record({ store, files }, owner, store.weights, { id, name, ...content }, [weightsFile(content)], draft);
}

async function record<T extends Dataset | Weights>(
  places: Places,
  owner: string,
  records: Uploaded<T>,
  upload: Omit<T, "created_at">,
  names: string[],
  { keep }: Pick<Draft, "keep">,
): Promise<{ record: T; created: boolean }> {
  return await places.files.exclusively(upload.sha256, async () => {
    await keep();
    const recorded = await records.put(owner, upload).catch(async (error) => {
      await removeUnused(places, names).catch(() => undefined);
      throw error;
    });
    // Another process that shares the directory may have removed a file with the last record that
    // had it.
    if (await places.files.hasAll(names)) return recorded;
    if (recorded.created) await records.remove(owner, upload.id);
    await removeUnused(places, names);
    throw retryLater("unavailable", "The same bytes were being deleted just now; send them again.", 1);
  });
}

/**
 * Removes the files of uploads that a crash interrupted between file and record. If Redis knows
 * none of the files, then it is not the Redis to which they belong, or it is empty and about to be
 * restored. All files stay then.
 */
export async function sweepFiles({ store, files }: Places, log: Pick<FastifyBaseLogger, "warn">): Promise<void> {
  const names = await files.list();
  const unknown = await unreferenced(store, names);
  if (unknown.length === 0) return;
  if (unknown.length === names.length) {
    log.warn({ files: names.length }, "Redis knows none of the dataset files here; they stay");
    return;
  }
  await files.removeAbandoned(unknown);
}

/**
 * Deletes a dataset, and its files unless another dataset has the same files. If the disk refuses
 * the deletion, nothing has changed.
 * @throws Error of the disk
 */
export async function removeDataset(places: Places, owner: string, dataset: Pick<Dataset, "id"> & Named) {
  return await remove(places, owner, places.store.datasets, dataset, filesOf(dataset));
}

/** Deletes weights as `removeDataset` does datasets. @throws Error of the disk */
export async function removeWeights(places: Places, owner: string, weights: Weights) {
  return await remove(places, owner, places.store.weights, weights, [weightsFile(weights)]);
}

async function remove<T extends Dataset | Weights>(
  { store, files }: Places,
  owner: string,
  records: Uploaded<T>,
  { id, sha256 }: Pick<T, "id" | "sha256">,
  names: string[],
): Promise<"removed" | "in_use" | "missing"> {
  return await files.exclusively(sha256, async () => {
    // The files of a job that reads them must not disappear, not even for a moment.
    if (await records.inUse(owner, id)) return "in_use";
    const retired = await files.retire(await unreferenced(store, names, 1));
    let outcome;
    try {
      crashPoint("after-retire");
      outcome = await records.remove(owner, id);
      crashPoint("after-unrecord");
      for (const name of await unreferenced(store, names)) await retired.remove(name);
    } finally {
      await retired.putBack();
    }
    await removeUnused({ store, files }, names);
    return outcome;
  });
}

async function removeUnused({ store, files }: Places, names: string[]): Promise<void> {
  const unused = await unreferenced(store, names);
  if (unused.length === 0) return;
  const retired = await files.retire(unused);
  try {
    for (const name of await unreferenced(store, unused)) await retired.remove(name);
  } finally {
    await retired.putBack();
  }
}

/** The files to which at most `max` records refer. */
async function unreferenced({ datasets }: Services["store"], names: readonly string[], max = 0): Promise<string[]> {
  const counts = await Promise.all(names.map((name) => datasets.references(name)));
  return names.filter((_, i) => counts[i] <= max);
}
