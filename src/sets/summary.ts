/** Ends a set: makes its index and its result of the files of the shards. */
import { distributionOf, type Distribution } from "./distribution.ts";
import { IndexWriter, metricColumn, SetIndex } from "./set-index.ts";
import { ShardFile, type ModelStatus } from "./shard-file.ts";

export interface SetResult {
  readonly models: { readonly total: number } & Readonly<Record<ModelStatus, number>>;
  /** The means over the models that succeeded and have the metric. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly distribution: Readonly<Record<string, Distribution>>;
}

/**
 * One shard is in memory at a time, and then one metric of all models.
 * @param paths the files of all shards, in their order
 * @param indexPath where the index is written; nothing must be there
 * @throws DamagedFile
 */
export async function summarize(paths: readonly string[], indexPath: string): Promise<SetResult> {
  const writer = await IndexWriter.create(indexPath);
  try {
    for (const path of paths) await addShard(writer, path);
    await writer.end();
  } finally {
    await writer.close();
  }
  return await resultOf(indexPath);
}

async function addShard(writer: IndexWriter, path: string): Promise<void> {
  const file = await ShardFile.open(path);
  try {
    for await (const { entry } of file.models()) await writer.add(entry);
  } finally {
    await file.close();
  }
}

async function resultOf(indexPath: string): Promise<SetResult> {
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
