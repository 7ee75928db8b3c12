/*
 * A dataset is a record and a file. The same bytes are one file, for all owners and processes.
 * Within a process one thing after the other is done with a file. Between processes this order
 * holds, so that no record is left without its file:
 *
 * - An upload puts the file there, then writes the record, and then looks whether the file is still
 *   there.
 * - A deletion takes the file away ("retires" it), then removes the record, then looks for another
 *   record of the file, and puts the file back if there is one.
 *
 * Of two that run at once at least one sees what the other did. A file without a record may remain;
 * the next start removes it.
 */
import type { FastifyBaseLogger } from "fastify";
import type { Draft } from "../data/files.ts";
import { retryLater } from "../spec/errors.ts";
import type { Dataset } from "../spec/wire.ts";
import type { Services } from "./services.ts";

/** Makes a dataset of a table; if its owner has those bytes already, the record they have stands. */
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
    const recorded = await store.datasets.put(owner, { id, name, format: "csv", ...content }).catch(async (error) => {
      await removeUnused({ store, files }, content.sha256).catch(() => undefined);
      throw error;
    });
    // Another process that shares the directory may have removed the file with the last dataset that had these bytes.
    if (await files.isWhole(content.sha256)) return recorded;
    if (recorded.created) await store.datasets.remove(owner, id);
    throw retryLater("unavailable", "The same rows were being deleted just now; send them again.", 1);
  });
}

/**
 * Removes the files of uploads that a crash cut off between file and record. Where Redis knows none of the files it is another Redis than the one they
 * belong to, or an empty one that is about to be restored: then all of them stay.
 */
export async function sweepFiles(
  { store, files }: Pick<Services, "store" | "files">,
  log: Pick<FastifyBaseLogger, "warn">,
): Promise<void> {
  const hashes = await files.list();
  const referenced = await Promise.all(hashes.map((sha256) => store.datasets.references(sha256)));
  const unknown = hashes.filter((_, i) => referenced[i] === 0);
  if (unknown.length === 0) return;
  if (unknown.length === hashes.length) {
    log.warn({ files: hashes.length }, "Redis knows none of the dataset files here; they stay");
    return;
  }
  for (const sha256 of unknown) await files.removeAbandoned(sha256);
}

/**
 * Deletes a dataset, and its file unless another one has the same. If the disk does not allow it
 * nothing has changed.
 * @throws Error of the disk
 */
export async function removeDataset(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  { id, sha256 }: Pick<Dataset, "id" | "sha256">,
): Promise<"removed" | "in_use" | "missing"> {
  return await files.exclusively(sha256, async () => {
    // The files must not go away under a job that reads them, not even for a moment.
    if (await store.datasets.inUse(owner, id)) return "in_use";
    if ((await store.datasets.references(sha256)) > 1) {
      const outcome = await store.datasets.remove(owner, id);
      await removeUnused({ store, files }, sha256);
      return outcome;
    }
    const retired = await files.retire(sha256);
    try {
      const outcome = await store.datasets.remove(owner, id);
      if ((await store.datasets.references(sha256)) === 0) await retired.remove();
      return outcome;
    } finally {
      await retired.putBack();
    }
  });
}

async function removeUnused({ store, files }: Pick<Services, "store" | "files">, sha256: string): Promise<void> {
  if ((await store.datasets.references(sha256)) > 0) return;
  const retired = await files.retire(sha256);
  try {
    if ((await store.datasets.references(sha256)) === 0) await retired.remove();
  } finally {
    await retired.putBack();
  }
}
