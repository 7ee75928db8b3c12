/** Ends a set: makes its index and its result of the files of the shards. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { distributionOf, type Distribution } from "./distribution.ts";
import { IndexWriter, metricColumn, SetIndex } from "./set-index.ts";
import { ShardFile, type ModelEntry, type ModelStatus } from "./shard-file.ts";

export interface SetResult extends Trained {
  /** Of all files, the index included. */
  readonly bytes: number;
  readonly models: { readonly total: number } & Readonly<Record<ModelStatus, number>>;
  /** The means over the models that succeeded and have the metric. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly distribution: Readonly<Record<string, Distribution>>;
}

interface Trained {
  /** SHA-256 of a line for each model that succeeded: its number and its own hash. */
  readonly weights_sha256: string;
  /** Of all models together. */
  readonly steps: number;
}

export interface SetFiles {
  /** The files of all shards, in their order. */
  readonly shards: readonly string[];
  /** Where the index is written; nothing must be there. */
  readonly index: string;
}

/** One shard is in memory at a time, and then one metric of all models. @throws DamagedFile */
export async function summarize({ shards, index }: SetFiles): Promise<SetResult> {
  const trained = await writeIndex(shards, index);
  let bytes = 0;
  for (const path of [...shards, index]) bytes += (await stat(path)).size;
  return { ...trained, bytes, ...(await resultOf(index)) };
}

async function writeIndex(paths: readonly string[], indexPath: string): Promise<Trained> {
  const writer = await IndexWriter.create(indexPath);
  const weights = createHash("sha256");
  let steps = 0;
  try {
    for (const path of paths)
      for await (const entry of entriesOf(path)) {
        await writer.add(entry);
        steps += entry.steps ?? 0;
        if (entry.status === "succeeded") weights.update(`${entry.number} ${entry.weights_sha256}\n`);
      }
    await writer.end();
  } finally {
    await writer.close();
  }
  return { weights_sha256: weights.digest("hex"), steps };
}

async function* entriesOf(path: string): AsyncGenerator<ModelEntry> {
  const file = await ShardFile.open(path);
  try {
    for await (const { entry } of file.models()) yield entry;
  } finally {
    await file.close();
  }
}

async function resultOf(indexPath: string): Promise<Omit<SetResult, keyof Trained | "bytes">> {
  const index = await SetIndex.open(indexPath);
  try {
    const distribution: Record<string, Distribution> = {};
    for (const name of index.metrics) {
      const values = (await index.numbers(metricColumn(name))).filter((value) => !Number.isNaN(value));
      if (values.length > 0) distribution[name] = distributionOf(values);
    }
    const means = Object.entries(distribution).map(([name, { mean }]) => [name, mean]);
    const models = { total: index.models, ...index.counts };
    return { models, metrics: Object.fromEntries(means) as Record<string, number>, distribution };
  } finally {
    await index.close();
  }
}
