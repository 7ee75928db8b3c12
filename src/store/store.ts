/**
 * The durable record of jobs and datasets, in Redis. The record is the truth; the queue only
 * wakes workers.
 *
 * What belongs together changes together: each command is one Lua script (lua/). If Redis is away
 * or full, a command throws Unavailable.
 */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { ulid } from "ulid";
import { random } from "../random.ts";
import { Archive, type Source } from "./archive/archive.ts";
import { Compaction } from "./archive/compaction.ts";
import type { ArchiveDirectory } from "./archive/directory.ts";
import { Mover } from "./archive/mover.ts";
import { Database } from "./database.ts";
import { Datasets } from "./datasets.ts";
import { Format } from "./format.ts";
import { Jobs } from "./jobs.ts";
import { keys } from "./keys.ts";
import { beginClaimed, claim, giveUp, type BegunClaimed, type Claim, type ClaimOptions } from "./claim.ts";
import { Lease } from "./lease.ts";
import { renew, type Blame } from "./renew.ts";
import type { Claimed, Hold, Place } from "./taken.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import { Outbox } from "./outbox.ts";
import { Overview } from "./overview.ts";
import { Predictions } from "./predictions.ts";
import { Sets } from "./sets.ts";
import { Studies } from "./studies.ts";
import { Tickets } from "./tickets.ts";
import { UploadedWeights } from "./weights.ts";
import { Upkeep } from "./upkeep.ts";

/** What one owner may have; null: no limit. */
export interface OwnerLimits {
  /** Jobs. */
  readonly waiting: number | null;
  readonly running: number | null;
  readonly dataset_bytes: number | null;
  readonly checkpoint_bytes: number | null;
  readonly archived_bytes: number | null;
}

/** What the store holds, over all owners. */
export interface Contents {
  readonly epoch: string | null;
  readonly jobs: number;
  /** Files of datasets. A file that several datasets share counts once. */
  readonly files: number;
}

export class Store {
  readonly format: Format;
  readonly jobs: Jobs;
  readonly datasets: Datasets;
  readonly weights: UploadedWeights;
  readonly predictions: Predictions;
  readonly sets: Sets;
  readonly studies: Studies;
  readonly outbox: Outbox;
  readonly overview: Overview;
  readonly tickets: Tickets;
  readonly upkeep: Upkeep;
  /** Where archived jobs are; null: this process cannot read them. */
  readonly archive: Source | null;
  readonly #database: Database;

  constructor(redis: Redis, archive: Source | null = null) {
    this.archive = archive;
    this.#database = new Database(redis);
    this.format = new Format(this.#database);
    this.jobs = new Jobs(this.#database, new Archive(archive));
    this.datasets = new Datasets(this.#database);
    this.weights = new UploadedWeights(this.#database);
    this.predictions = new Predictions(this.#database);
    this.sets = new Sets(this.#database);
    this.studies = new Studies(this.#database);
    this.outbox = new Outbox(this.#database, this.jobs, this.studies);
    this.overview = new Overview(this.#database);
    this.tickets = new Tickets(this.#database);
    this.upkeep = new Upkeep(this.#database);
  }

  /** What moves ended jobs into the archive in this directory, and what frees its room. */
  archiving(directory: ArchiveDirectory, log: Logger, dayMs?: number): { mover: Mover; compaction: Compaction } {
    const mover = new Mover(this.#database, directory, log);
    return { mover, compaction: new Compaction(this.#database, mover, log, dayMs) };
  }

  /** Sets the limits that all processes enforce. The API that started last decides. */
  async limitOwners(limits: OwnerLimits): Promise<void> {
    const set = Object.entries(limits).filter(([, limit]) => limit !== null) as [string, number][];
    await this.#database.use(async (redis) => {
      const change = redis.multi().del(keys.limits);
      if (set.length > 0) change.hset(keys.limits, Object.fromEntries(set));
      return await change.exec();
    });
  }

  /**
   * The part of a new id that gives it its order. It is by Redis' clock, because lists are in the
   * order of ids and the clocks of the API's hosts may differ.
   */
  async newUlid(): Promise<string> {
    const [seconds, microseconds] = await this.#database.use((redis) => redis.time());
    return ulid(Math.floor(seconds * 1000 + microseconds / 1000), random).toLowerCase();
  }

  /** Takes jobs for a place of a worker (claim.ts). */
  async claim(options: ClaimOptions): Promise<Claim> {
    return await claim(this.#database, options);
  }

  /** Begins a job that was claimed, or one that nobody holds. */
  async begin(claimed: Pick<Claimed, "owner" | "jobId" | "token">, place: Place): Promise<BegunClaimed> {
    return await beginClaimed(this.#database, claimed, place);
  }

  /** Gives up claimed jobs. Returns whether a wake-up must be added to the queue. */
  async giveUp(claimed: readonly Claimed[]): Promise<boolean> {
    return await giveUp(this.#database, claimed);
  }

  /** The lease of a job that has begun. */
  lease(hold: Hold): Lease {
    return new Lease(this.#database, hold);
  }

  /**
   * Extends leases and claims in one script. Returns the status of each job; null: the lease is
   * someone else's.
   */
  async renew(
    leaseMs: number,
    leases: readonly (Hold & { blame: Blame })[],
    claims: readonly string[],
  ): Promise<(JobStatus | null)[]> {
    return await renew(this.#database, leaseMs, leases, claims);
  }

  /** A sentence about a store that is full; null if it is not. @throws Unavailable */
  async fullness(): Promise<string | null> {
    const { used, reserved, limit, full } = await this.overview.room();
    if (!full) return null;
    return `full: ${used} bytes are used and ${reserved} reserved of ${limit}, so new jobs are refused; those that are there go on`;
  }

  /** Gives the data an id if they have none. Returns their id. */
  async beginEpoch(id: string): Promise<string> {
    return await this.#database.use(async (redis) => {
      await redis.set(keys.epoch, id, "NX");
      return (await redis.get(keys.epoch)) ?? id;
    });
  }

  async contents(): Promise<Contents> {
    return await this.#database.use(async (redis) => {
      const [epoch, statuses, files] = await Promise.all([
        redis.get(keys.epoch),
        redis.hvals(keys.statuses),
        redis.hlen(keys.files),
      ]);
      return { epoch, jobs: statuses.reduce((sum, count) => sum + Number(count), 0), files };
    });
  }

  /** @throws Unavailable */
  /** Those of the files of results, of any owner, whose prediction or set of models is gone. */
  async withoutResult(files: readonly string[]): Promise<string[]> {
    if (files.length === 0) return [];
    const records = files.map((file) => file.split(".", 1)[0]);
    const owners = await this.#database.use((redis) => redis.hmget(keys.results, ...records));
    return files.filter((_, i) => owners[i] === null);
  }

  async ping(): Promise<void> {
    await this.#database.use((redis) => redis.ping());
  }
}
