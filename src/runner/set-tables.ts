/**
 * The tables of model sets, which the lanes of a process share. A table is as large as its dataset,
 * so it goes when no shard has asked for it for a while, and at once if there is no memory for a
 * job.
 */
import type { DataSpec } from "../data/encode/encoding.ts";
import type { PartitionedTable } from "../data/encode/partitioned-table.ts";
import { runInHelper, thisProcess } from "../data/pool.ts";
import { collectSoon } from "../engine/crew/garbage.ts";
import { IDLE_MS } from "../engine/crew/pool.ts";
import type { Life } from "./persist.ts";
import { useTable, type Sources } from "./prepare.ts";

/** How many tables are kept for the next shards. */
const KEPT_TABLES = 2;

export interface WantedTable {
  readonly datasetIds: readonly string[];
  readonly data: DataSpec;
}

interface Kept {
  readonly table: Promise<PartitionedTable>;
  readonly usedAt: number;
}

export class SetTables {
  readonly #sources: Sources;
  readonly #idleMs: number;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();
  #timer: NodeJS.Timeout | null = null;

  constructor(sources: Sources, idleMs = IDLE_MS) {
    this.#sources = sources;
    this.#idleMs = idleMs;
  }

  /** How many tables are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** @throws JobFailure, DatasetUnreachable */
  async get(owner: string, { datasetIds, data }: WantedTable, life: Life): Promise<PartitionedTable> {
    const key = JSON.stringify([owner, datasetIds, data]);
    const table =
      this.#kept.get(key)?.table ??
      useTable(owner, datasetIds, this.#sources, life, (path) =>
        runInHelper("partitionTable", { table: path, data }, thisProcess),
      );
    this.#kept.delete(key);
    this.#kept.set(key, { table, usedAt: performance.now() });
    table.catch(() => this.#kept.delete(key));
    if (this.#kept.size > KEPT_TABLES) this.#kept.delete(this.#kept.keys().next().value!);
    this.#timer ??= setInterval(() => this.drop(performance.now() - this.#idleMs), this.#idleMs / 4).unref();
    return await table;
  }

  /** Drops the tables that nobody has asked for since then. Default: all. */
  drop(since = Infinity): void {
    for (const [key, { usedAt }] of this.#kept) if (usedAt <= since) this.#kept.delete(key);
    if (this.#kept.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    collectSoon();
  }
}
