/** Sets of models: what their shards' runs read, and how a set ends (lua/shared/set.lua). */
import type { Inherited } from "../contract/resolve/encoders.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { JobResult, SetCounts } from "../contract/wire/job.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { describe } from "./models.ts";
import { idsIn, named, summaryFields, type Moments, type NewEvent } from "./record.ts";
import { storedSpec } from "./stored-spec.ts";
import type { Hold } from "./taken.ts";

/** What a run needs to know of its shard. */
export interface ShardWork {
  readonly setId: string;
  readonly spec: ResolvedSpec;
  readonly datasetIds: readonly string[];
  /** The encoders that its models take over or share; null: each fits its own. */
  readonly inherited: Inherited | null;
  /** The numbers of its models: from `from` up to, but not including, `to`. */
  readonly from: number;
  readonly to: number;
}

/**
 * How the models of a shard have ended, how many bytes its file has, and how the metrics of those
 * that succeeded are spread (sets/distribution.ts).
 */
export interface ShardResult extends Pick<SetCounts, "succeeded" | "failed" | "skipped"> {
  readonly bytes: number;
  readonly metrics: Readonly<Record<string, Moments>>;
}

export interface NamedSet {
  readonly owner: string;
  readonly id: string;
}

/** A set whose shards have all ended. */
export interface EndedSet extends NamedSet {
  readonly spec: ResolvedSpec;
  readonly datasetIds: readonly string[];
  readonly models: number;
  readonly shardModels: number;
  /** The shards before this one have been opened. */
  readonly openedShards: number;
}

/** Whether this is the id of a shard, and not of a job. */
export function isShard(id: string): boolean {
  return id.includes(".");
}

/** The id of a shard, and of its file of results. */
export function shardId(setId: string, number: number): string {
  return `${setId}.${number}`;
}

/** The id of the file that lists all models of a set. */
export function indexId(setId: string): string {
  return `${setId}.index`;
}

/** The id of a file of a set: of a shard, by its number, or of the list of all models. */
export function partId(setId: string, part: number | "index"): string {
  return part === "index" ? indexId(setId) : shardId(setId, part);
}

export class Sets {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Null if the set is gone. */
  async work({ owner, jobId }: Pick<Hold, "owner" | "jobId">): Promise<ShardWork | null> {
    const [setId, number] = jobId.split(".");
    const [set, encoders] = await Promise.all([
      this.find(owner, setId),
      this.#database.use((redis) => redis.hget(keys.job(owner, setId), "encoders")),
    ]);
    if (set === null) return null;
    const from = Number(number) * set.shardModels;
    const { spec, datasetIds, models } = set;
    const inherited = JSON.parse(encoders ?? "null") as Inherited | null;
    return { setId, spec, datasetIds, inherited, from, to: Math.min(models, from + set.shardModels) };
  }

  /** The sets, of any owner, that wait for their results to be put together. */
  async concluding(most: number): Promise<EndedSet[]> {
    const listed = await this.#listed(keys.concluding, most);
    const found = await Promise.all(listed.map(({ owner, id }) => this.find(owner, id)));
    return found.filter((set) => set !== null);
  }

  /** The sets, of any owner, that ended without a result, and may have files. */
  async discarded(most: number): Promise<NamedSet[]> {
    return await this.#listed(keys.discarded, most);
  }

  /** Its files are removed. */
  async cleared({ owner, id }: NamedSet): Promise<void> {
    await this.#database.use((redis) => redis.zrem(keys.discarded, keys.job(owner, id)));
  }

  /** Whether nobody needs the files of a set any more, because it has no result or is gone. */
  async isDiscarded({ owner, id }: NamedSet): Promise<boolean> {
    const status = await this.#database.use((redis) => redis.hget(keys.job(owner, id), "status"));
    return status === null || status === "failed" || status === "cancelled";
  }

  async #listed(list: string, most: number): Promise<NamedSet[]> {
    const jobs = await this.#database.use((redis) => redis.zrange(list, "0", String(most - 1)));
    return jobs.map((job) => {
      const [, owner, id] = /:owner:(.*?):job:(.+)$/.exec(job)!;
      return { owner, id };
    });
  }

  /**
   * Returns false if the set has ended otherwise, or is to stop.
   * @param bytes those of all its files
   */
  async conclude(
    { owner, id }: NamedSet,
    result: JobResult,
    { succeeded, failed, skipped }: Pick<SetCounts, "succeeded" | "failed" | "skipped">,
    bytes: number,
  ): Promise<boolean> {
    const message = `Trained ${succeeded} models${failed + skipped === 0 ? "" : `; ${failed} failed, ${skipped} were skipped`}.`;
    const data = { succeeded, failed, skipped };
    const event: NewEvent = { type: "succeeded", message, step: null, data };
    const done = await this.#database.run<number>(
      "conclude_set",
      keys.job(owner, id),
      JSON.stringify(result),
      JSON.stringify(event),
      JSON.stringify(data),
      bytes,
    );
    return done === 1;
  }

  /** Lets a shard be trained again. Returns whether a wake-up must be added to the queue. */
  async giveBack({ owner, id }: NamedSet, number: number, models: number): Promise<boolean> {
    return (await this.#database.run<number>("give_back_shard", keys.job(owner, id), number, models)) === 1;
  }

  /** Whether a shard runs, whose results are awaited. */
  async isExpected(owner: string, shard: string): Promise<boolean> {
    const status = await this.#database.use((redis) => redis.hget(keys.job(owner, shard), "status"));
    return status === "running" || status === "cancelling" || status === "pausing";
  }

  /** How to use the pooled model of a set; null: it is not trained, or there is none. */
  async pooled(owner: string, id: string): Promise<ModelDescription | null> {
    const fields = [...summaryFields, "model", "pooled_result"] as const;
    const values = await this.#database.use((redis) => redis.hmget(keys.job(owner, id), ...fields));
    const { pooled_result: result, ...record } = named(fields, values);
    return result === null ? null : describe(id, { ...record, result });
  }

  /** Null if there is no such set. */
  async find(owner: string, id: string): Promise<EndedSet | null> {
    const fields = ["spec", "spec_version", "dataset", "pooling", "total_steps", "shard_models", "next_shard"] as const;
    const values = await this.#database.use((redis) => redis.hmget(keys.job(owner, id), ...fields));
    const record = named(fields, values);
    if (record.spec === null || record.shard_models === null) return null;
    return {
      owner,
      id,
      spec: await storedSpec(record.spec, record.spec_version),
      datasetIds: idsIn(record.dataset),
      models: Number(record.pooling ?? record.total_steps),
      shardModels: Number(record.shard_models),
      openedShards: Number(record.next_shard),
    };
  }
}
