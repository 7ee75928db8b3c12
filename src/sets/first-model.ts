/** A model by which those of a set are known: all predict from the same columns. */
import type { ModelNotes } from "../contract/model-notes.ts";
import { SetIndex } from "./set-index.ts";
import { ShardFile } from "./shard-file.ts";

/** Where the models of a set are. */
export interface ModelPaths {
  /** The files of the shards, in their order, and how many models each has. */
  readonly shards: readonly string[];
  readonly shardModels: number;
  /** The file that lists all models. */
  readonly index: string;
}

export interface FirstModel {
  readonly notes: ModelNotes;
  readonly sha256: string;
  /** Of the longest key of the set as JSON. */
  readonly keyBytes: number;
}

/** The first model that succeeded; null: none did. @throws DamagedFile */
export async function firstModel({ index: path, shards, shardModels }: ModelPaths): Promise<FirstModel | null> {
  const index = await SetIndex.open(path);
  try {
    const { entries } = await index.list({ limit: 1, after: null, status: "succeeded", sort: null });
    if (entries.length === 0) return null;
    const { number } = entries[0];
    const file = await ShardFile.open(shards[Math.floor(number / shardModels)]);
    try {
      const model = await file.model(number);
      return { notes: model.notes()!, sha256: model.parts("final")!.sha256, keyBytes: index.keyBytes };
    } finally {
      await file.close();
    }
  } finally {
    await index.close();
  }
}
