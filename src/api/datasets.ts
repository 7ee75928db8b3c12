import { ulid } from "ulid";
import type { DatasetContent } from "../data/dataset.ts";
import { retryLater } from "../spec/errors.ts";
import type { Dataset } from "../spec/wire.ts";
import type { Services } from "./services.ts";

/** Records a dataset whose file has been kept; if its owner has those bytes already, the record they have stands. */
export async function recordDataset(
  { store, files }: Pick<Services, "store" | "files">,
  owner: string,
  name: string | null,
  content: DatasetContent,
): Promise<{ record: Dataset; created: boolean }> {
  const id = `ds_${ulid().toLowerCase()}`;
  const recorded = await store.datasets.put(owner, { id, name, format: "csv", ...content }).catch(async (error) => {
    await removeUnused({ store, files }, content.sha256);
    throw error;
  });
  // The last dataset with these bytes may have been deleted, and its file with it, since the file was kept.
  if (await files.has(content.sha256)) return recorded;
  throw retryLater("unavailable", "The same rows were being deleted just now; send them again.", 1);
}

/** Removes a file that no dataset has. */
export async function removeUnused({ store, files }: Pick<Services, "store" | "files">, sha256: string): Promise<void> {
  if (!(await store.datasets.referenced(sha256))) await files.remove(sha256);
}
