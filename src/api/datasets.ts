import type { FastifyBaseLogger } from "fastify";
import { ulid } from "ulid";
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
  const id = `ds_${ulid().toLowerCase()}`;
  return await files.exclusively(content.sha256, async () => {
    await draft.keep();
    const recorded = await store.datasets.put(owner, { id, name, format: "csv", ...content }).catch(async (error) => {
      await removeUnused({ store, files }, content.sha256);
      throw error;
    });
    // Another process that shares the directory may have removed the file with the last dataset that had these bytes.
    if (await files.has(content.sha256)) return recorded;
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
  const referenced = await Promise.all(hashes.map((sha256) => store.datasets.referenced(sha256)));
  const unknown = hashes.filter((_, i) => !referenced[i]);
  if (unknown.length === 0) return;
  if (unknown.length === hashes.length) {
    log.warn({ files: hashes.length }, "Redis knows none of the dataset files here; they stay");
    return;
  }
  for (const sha256 of unknown) await files.removeAbandoned(sha256);
}

/** Removes the files of a dataset that was deleted, unless another one has the same. */
export async function removeFiles({ store, files }: Pick<Services, "store" | "files">, sha256: string): Promise<void> {
  await files.exclusively(sha256, () => removeUnused({ store, files }, sha256));
}

async function removeUnused({ store, files }: Pick<Services, "store" | "files">, sha256: string): Promise<void> {
  if (!(await store.datasets.referenced(sha256))) await files.remove(sha256);
}
