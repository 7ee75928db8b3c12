/*
 * A dataset is a record and two files: its bytes, and the columns that one reading made of them.
 * The same bytes are one file for all readings, owners and processes; the same columns likewise.
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
import { filesOf, type Named } from "../data/dataset.ts";
import type { Draft } from "../data/files/dataset-files.ts";
import { retryLater } from "../contract/errors.ts";
import type { Dataset } from "../contract/wire/dataset.ts";
import type { Services } from "./services.ts";

/**
 * Makes a dataset of what was read. If its owner already has a dataset of these bytes with this
 * reading, that record is kept.
 */
export async function recordDataset(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  name: string | null,
  draft: Draft,
): Promise<{ record: Dataset; created: boolean }> {
  const { content } = draft;
  const id = `ds_${await store.newUlid()}`;
  return await files.exclusively(content.sha256, async () => {
    await draft.keep();
    const recorded = await store.datasets.put(owner, { id, name, ...content }).catch(async (error) => {
      await removeUnused({ store, files }, filesOf(content)).catch(() => undefined);
      throw error;
    });
    // Another process that shares the directory may have removed a file with the last dataset that
    // had it.
    if (await files.isWhole(content)) return recorded;
    if (recorded.created) await store.datasets.remove(owner, id);
    await removeUnused({ store, files }, filesOf(content));
    throw retryLater("unavailable", "The same rows were being deleted just now; send them again.", 1);
  });
}

/**
 * Removes the files of uploads that a crash interrupted between file and record. If Redis knows
 * none of the files, then it is not the Redis to which they belong, or it is empty and about to be
 * restored. All files stay then.
 */
export async function sweepFiles(
  { store, files }: Pick<Services, "store" | "files">,
  log: Pick<FastifyBaseLogger, "warn">,
): Promise<void> {
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
export async function removeDataset(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  { id, ...named }: Pick<Dataset, "id"> & Named,
): Promise<"removed" | "in_use" | "missing"> {
  return await files.exclusively(named.sha256, async () => {
    // The files of a job that reads them must not disappear, not even for a moment.
    if (await store.datasets.inUse(owner, id)) return "in_use";
    const names = filesOf(named);
    const retired = await files.retire(await unreferenced(store, names, 1));
    let outcome;
    try {
      crashPoint("after-retire");
      outcome = await store.datasets.remove(owner, id);
      crashPoint("after-unrecord");
      for (const name of await unreferenced(store, names)) await retired.remove(name);
    } finally {
      await retired.putBack();
    }
    await removeUnused({ store, files }, names);
    return outcome;
  });
}

async function removeUnused({ store, files }: Pick<Services, "store" | "files">, names: string[]): Promise<void> {
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
