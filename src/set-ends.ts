/**
 * Ends model sets. When all shards of a set have ended, the list of its models and its result are
 * made of their files. Every process with an API does that, as the files are there. If two do it at
 * once, both make the same, and one script ends the set.
 *
 * A shard whose file is missing or damaged is trained again, to the same bytes. If a set ends
 * without a result, its files are removed here.
 */
import { rm } from "node:fs/promises";
import type { Logger } from "pino";
import type { JobResult } from "./contract/wire/job.ts";
import type { DatasetFiles } from "./data/files/dataset-files.ts";
import { isDamaged } from "./data/files/disk.ts";
import { thisProcess } from "./data/pool.ts";
import { meters } from "./meters.ts";
import type { News } from "./queue/news.ts";
import type { WakeUps } from "./queue/wake-ups.ts";
import { Retry } from "./retries.ts";
import { runForSets } from "./sets/pool.ts";
import type { SetResult } from "./sets/summary.ts";
import { indexId, shardId, type EndedSet, type NamedSet } from "./store/sets.ts";
import type { Store } from "./store/store.ts";

/** How often it looks for sets if it hears of none. */
const INTERVAL_MS = 2000;
/** How many sets it takes at a time, one after the other. */
const MOST = 10;

export interface SetEndsOptions {
  readonly store: Pick<Store, "sets">;
  readonly files: Pick<DatasetFiles, "results">;
  readonly queue: Pick<WakeUps, "add">;
  readonly news: Pick<News, "watch">;
  readonly log: Logger;
  /** Whether the records in Redis belong to the files here. */
  readonly isSafe: () => Promise<boolean>;
}

/** What the result of a set has as that of one model. */
const OF_ONE_MODEL = { stop_reason: "completed" as const, best: null, changes: [] };

/** The file of a shard is missing or damaged. */
class ShardDamaged extends Error {
  readonly shard: number;

  constructor(shard: number, cause: Error) {
    super(cause.message, { cause });
    this.shard = shard;
  }
}

export class SetEnds {
  readonly #options: SetEndsOptions;
  readonly #attempts: Retry;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;

  constructor(options: SetEndsOptions) {
    this.#options = options;
    this.#attempts = new Retry("sets", options.log);
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
    this.#attempts.gaveUp();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const watch = this.#options.news.watch("sets", ["progress"]);
    while (!signal.aborted) {
      try {
        await this.#endSome();
        this.#attempts.worked();
      } catch (error) {
        this.#attempts.failed(error);
      }
      await watch.wait(INTERVAL_MS, signal);
    }
    watch.close();
  }

  async #endSome(): Promise<void> {
    const { store, isSafe } = this.#options;
    if (!(await isSafe())) return;
    // A set that cannot be ended now must not keep others from their ends.
    const errors: unknown[] = [];
    for (const set of await store.sets.concluding(MOST)) {
      if (this.#closing.signal.aborted) return;
      await this.#end(set).catch((error: unknown) => errors.push(error));
    }
    for (const set of await store.sets.discarded(MOST)) {
      await this.#clear(set).catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }

  async #clear(set: NamedSet): Promise<void> {
    const { store, files } = this.#options;
    await files.results.removeSet(set.id);
    await store.sets.cleared(set);
  }

  async #end(set: EndedSet): Promise<void> {
    const { store, files, queue, log } = this.#options;
    const part = files.results.begin(indexId(set.id));
    try {
      const { models, bytes, ...result } = await this.#summary(set, part.path);
      await part.keep();
      const whole: JobResult = { ...result, epochs: set.spec.training.epochs, ...OF_ONE_MODEL };
      if (await store.sets.conclude(set, whole, models, bytes)) log.info({ job_id: set.id, ...models }, "a set ended");
      // It was cancelled meanwhile, and its files were perhaps removed before this one was kept.
      else if (await store.sets.isDiscarded(set)) await this.#clear(set);
    } catch (error) {
      if (!(error instanceof ShardDamaged)) throw error;
      const { shard } = error;
      meters.damage.inc({ what: "set" });
      log.warn({ job_id: set.id, shard, err: error }, "the models of a shard are trained again: its file is damaged");
      const models = Math.min(set.shardModels, set.models - shard * set.shardModels);
      if (await store.sets.giveBack(set, shard, models)) await queue.add();
    } finally {
      await part.discard();
    }
  }

  /** @throws ShardDamaged */
  async #summary({ id, models, shardModels }: EndedSet, index: string): Promise<SetResult> {
    const shards = Array.from({ length: Math.ceil(models / shardModels) }, (_, number) =>
      this.#options.files.results.pathOf(shardId(id, number)),
    );
    try {
      return await runForSets("summarize", { shards, index }, thisProcess);
    } catch (error) {
      // What was begun is in the way of the next attempt.
      await rm(index, { force: true });
      const shard = shards.findIndex((path) => isDamaged(error, path));
      throw shard === -1 ? error : new ShardDamaged(shard, error as Error);
    }
  }
}
