/** The files of a set of models, where a run reads them. */
import { access } from "node:fs/promises";
import type { Part } from "../data/files/result-files.ts";
import { partId, type EndedSet } from "../store/sets.ts";
import type { Sources } from "./prepare.ts";

/**
 * Calls `use` with the paths of the files. Those that are not on this machine are fetched from the
 * API, and are there until it is done.
 * @throws DatasetUnreachable, and whatever `use` throws
 */
export async function useSetFiles<T>(
  { owner, id, models, shardModels }: Pick<EndedSet, "owner" | "id" | "models" | "shardModels">,
  { files, cache }: Pick<Sources, "files" | "cache">,
  use: (pathOf: (part: number | "index") => string) => Promise<T>,
): Promise<T> {
  const fetched = new Map<string, Part>();
  try {
    const shards = Array.from({ length: Math.ceil(models / shardModels) }, (_, number) => number);
    for (const part of cache === null ? [] : (["index", ...shards] as const)) {
      const file = partId(id, part);
      if (await isThere(files.results.pathOf(file))) continue;
      const begun = files.results.begin(file);
      fetched.set(file, begun);
      await cache!.fetchResult({ owner, id: file, path: begun.path });
    }
    return await use((part) => {
      const file = partId(id, part);
      return fetched.get(file)?.path ?? files.results.pathOf(file);
    });
  } finally {
    for (const part of fetched.values()) await part.discard();
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
