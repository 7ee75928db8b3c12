/** Pages of the models of a set. */
import { isDamaged } from "../data/files/disk.ts";
import { metricColumn, SetIndex, type Listed, type Listing } from "./set-index.ts";
import { ShardFile, type ModelEntry } from "./shard-file.ts";

/** `known`: what models can be sorted by, if they cannot be by what was asked for. */
export type Page = Listed | { readonly known: readonly string[] };

/** The models of a set that has succeeded, from its index. @throws DamagedFile */
export async function listIndexed({ path, ...listing }: Listing & { readonly path: string }): Promise<Page> {
  const index = await SetIndex.open(path);
  try {
    const known = ["rows", "steps", ...index.metrics.map(metricColumn)];
    if (listing.sort !== null && !known.includes(listing.sort.by)) return { known };
    return await index.list(listing);
  } finally {
    await index.close();
  }
}

/**
 * The models that have ended, by number, from the files of their shards. A shard without a file has
 * not ended, nor has one whose file is damaged: it will be trained again.
 * @param paths the files of shards that follow each other, as far as they are there
 */
export async function listEnded({
  paths,
  after,
  limit,
}: Pick<Listing, "after" | "limit"> & { readonly paths: readonly string[] }): Promise<Listed> {
  const entries: ModelEntry[] = [];
  for (const path of paths) {
    if (entries.length > limit) break;
    const found = await entriesIn(path, after ?? -1, limit + 1 - entries.length).catch((error: unknown) => {
      if (isDamaged(error, path)) return [];
      throw error;
    });
    entries.push(...found);
  }
  return { entries: entries.slice(0, limit), hasMore: entries.length > limit };
}

/** The first `most` of a shard after this number. */
async function entriesIn(path: string, after: number, most: number): Promise<ModelEntry[]> {
  const file = await ShardFile.open(path);
  try {
    const entries: ModelEntry[] = [];
    const begin = Math.max(after + 1, file.from);
    for (let number = begin; number < file.from + file.count && entries.length < most; number++)
      entries.push((await file.model(number)).entry);
    return entries;
  } finally {
    await file.close();
  }
}
