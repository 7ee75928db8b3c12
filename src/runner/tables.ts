/** The tables of model sets, which the lanes of a process share. */
import type { DataSpec } from "../data/encode/encoding.ts";
import { runInHelper, thisProcess } from "../data/pool.ts";
import type { PartitionedTable } from "../data/encode/partitioned-table.ts";
import type { Life } from "./persist.ts";
import { useTable, type Sources } from "./prepare.ts";

/** How many tables are kept for the next shards. */
const KEPT_TABLES = 2;

export interface WantedTable {
  readonly datasetIds: readonly string[];
  readonly data: DataSpec;
}

/** In the order of their last use. */
const kept = new Map<string, Promise<PartitionedTable>>();

/** @throws JobFailure, DatasetUnreachable */
export async function partitionedTable(
  owner: string,
  { datasetIds, data }: WantedTable,
  sources: Sources,
  life: Life,
): Promise<PartitionedTable> {
  const key = JSON.stringify([owner, datasetIds, data]);
  const table =
    kept.get(key) ??
    useTable(owner, datasetIds, sources, life, (path) =>
      runInHelper("partitionTable", { table: path, data }, thisProcess),
    );
  kept.delete(key);
  kept.set(key, table);
  table.catch(() => kept.delete(key));
  if (kept.size > KEPT_TABLES) kept.delete(kept.keys().next().value!);
  return await table;
}
