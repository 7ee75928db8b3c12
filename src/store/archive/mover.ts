/**
 * Moves ended jobs into the archive. The steps, with a crash point after each:
 *
 * 1. Read a job that waits in `{rappel}:unarchived` from Redis (collect.ts).
 * 2. Append it to a segment, with others, sync the segment to disk, read it back (segment.ts).
 * 3. Point the job's record to the entry, if the job still has what was copied (archive_job.lua).
 *    The same script takes it off the list.
 *
 * A process that dies before the third step leaves an entry to which nothing points. The job is
 * still in Redis, and is moved again. If two processes move the same job, the first one's entry is
 * pointed to, and the other is such a leftover. Compaction (compaction.ts) frees leftovers.
 *
 * A job that was deleted gets a tombstone, so that an index that is made from the segments does not
 * have it. The script that deletes a job notes it in `{rappel}:buried`.
 */
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { crashPoint } from "../../crash-point.ts";
import { meters } from "../../meters.ts";
import type { Database } from "../database.ts";
import { Damaged, OutOfReach, Unavailable } from "../errors.ts";
import { keys } from "../keys.ts";
import { collect, type Collected } from "./collect.ts";
import type { ArchiveDirectory } from "./directory.ts";
import { placeText, type Place } from "./entry.ts";
import { restoreRecords } from "./restore.ts";
import type { NewEntry, SegmentWriter } from "./segment.ts";

/** How many jobs are written, and synced to disk, together. */
export const BATCH = 64;
/** A segment gets no more when it is this large. */
const SEGMENT_BYTES = 64 * 2 ** 20;
/** When a job is looked at again that cannot be moved yet. */
const LATER_MS = 60_000;
/** How many deletions one tombstone has at most. */
const BURIED = 1000;

type Outcome = "archived" | "changed" | "missing";

export class Mover {
  readonly directory: ArchiveDirectory;
  readonly #database: Database;
  readonly #log: Logger;
  readonly #token = randomUUID();
  #writer: SegmentWriter | null = null;

  constructor(database: Database, directory: ArchiveDirectory, log: Logger) {
    this.#database = database;
    this.directory = directory;
    this.#log = log;
  }

  /** Takes the archivists' turn, or keeps it, for `ms`. Returns whether it is this process'. */
  async turn(ms: number): Promise<boolean> {
    const isOurs = (await this.#database.run("archive_turn", keys.archivist, this.#token, ms)) === 1;
    if (!isOurs) await this.close();
    return isOurs;
  }

  /** Gives the turn, if it is this process', to another that can do the work. */
  async giveWay(): Promise<void> {
    await this.turn(1);
  }

  /** @throws OutOfReach if Redis knows an archive, and the directory is not that */
  async check(): Promise<void> {
    const [id, ready] = await this.#known();
    if (ready !== null) this.#mustBe(id, await this.directory.id());
  }

  /**
   * Checks that the directory is the archive of these jobs. The first time, it becomes it. If Redis
   * knows no archive and there is one, Redis has lost its data: the records are made from it.
   * @throws OutOfReach
   */
  async prove(): Promise<void> {
    const { directory } = this;
    const here = await directory.id();
    await this.#database.use((redis) => redis.hsetnx(keys.archive, "id", here ?? randomUUID()));
    const [id, ready] = await this.#known();
    if (here === null && ready === null) await directory.claim(id!);
    else this.#mustBe(id, here);
    await directory.prepare();
    if (ready !== null) return;
    // Jobs that ended before there was an archive, or that an earlier version ended.
    await this.#database.use((redis) => redis.zunionstore(keys.unarchived, 1, keys.ended));
    if (here !== null) {
      await this.#database.use((redis) => redis.hset(keys.archive, "restoring", 1));
      const records = await restoreRecords(this.#database, directory);
      this.#log.warn({ records }, "Redis did not know the archive: the records of the jobs in it were written again");
    }
    await this.#database.use((redis) =>
      redis.multi().hset(keys.archive, "ready", 1).hdel(keys.archive, "restoring").exec(),
    );
  }

  /** Moves the jobs that have waited longest. Returns how many it looked at. */
  async moveSome(): Promise<number> {
    const now = await this.#now();
    const jobs = await this.#database.use((redis) =>
      redis.zrangebyscore(keys.unarchived, "-inf", now, "LIMIT", 0, BATCH),
    );
    const found = await Promise.all(jobs.map(async (job) => await this.#collect(job, now)));
    const collected = found.filter((one) => one !== null);
    const small = collected.filter(({ large }) => !large);
    if (small.length > 0) await this.#move(small, now);
    for (const one of collected.filter(({ large }) => large)) await this.#move([one], now);
    return jobs.length;
  }

  /** Writes tombstones of the jobs that were deleted. */
  async bury(): Promise<void> {
    for (;;) {
      const buried = await this.#database.use((redis) => redis.lrange(keys.buried, 0, BURIED - 1));
      if (buried.length === 0) return;
      await this.append([tombstone(buried.map((one) => one.split(" ") as [string, string]))]);
      crashPoint("archive-buried");
      await this.#database.use(async (redis) => {
        await Promise.all(buried.map((one) => redis.lrem(keys.buried, 1, one)));
      });
    }
  }

  /** Writes entries to the segment that is written now. */
  async append(entries: readonly NewEntry[]): Promise<Place[]> {
    this.#writer ??= await this.directory.begin((await this.#database.use((redis) => redis.get(keys.epoch))) ?? "");
    const writer = this.#writer;
    // After an error it must not be used any more.
    this.#writer = null;
    const places = await writer.append(entries);
    if (writer.bytes >= SEGMENT_BYTES) await writer.close();
    else this.#writer = writer;
    return places;
  }

  /** The segment that is written now; null if there is none. */
  get writing(): string | null {
    return this.#writer?.name ?? null;
  }

  async close(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    await writer?.close();
  }

  /** Null if the job is not moved now. */
  async #collect(job: string, now: number): Promise<Collected | null> {
    try {
      const found = await collect(this.#database, job);
      if (typeof found !== "string") return found;
      if (found === "later") await this.#postpone(job, now);
      else await this.#leave(job);
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      if (error instanceof Damaged) await this.#stays(job, error);
      else {
        // One job must not keep all others from the archive.
        this.#log.error({ job, err: error }, "a job could not be read for the archive, and stays in Redis for now");
        await this.#postpone(job, now);
      }
    }
    return null;
  }

  async #move(collected: readonly Collected[], now: number): Promise<void> {
    let places: Place[];
    try {
      places = await this.append(collected.map(({ entry }) => entry));
    } catch (error) {
      // The files of a small job were checked before.
      if (!(error instanceof Damaged)) throw error;
      await this.#stays(collected[0].job, error);
      return;
    }
    await Promise.all(
      collected.map(async ({ job, arguments: given }, i) => {
        const outcome = await this.#database.run<Outcome>("archive_job", job, placeText(places[i]), ...given);
        if (outcome === "archived") meters.archived.inc();
        else if (outcome === "changed") await this.#postpone(job, now);
      }),
    );
    crashPoint("archive-pointed");
  }

  /** The id of the archive that Redis knows, and whether that archive is ready. */
  async #known(): Promise<(string | null)[]> {
    return await this.#database.use((redis) => redis.hmget(keys.archive, "id", "ready"));
  }

  #mustBe(id: string | null, here: string | null): void {
    if (here === id) return;
    throw new OutOfReach(
      here === null
        ? `${this.directory.path} does not have the file "id" of the archive that Redis knows`
        : `${this.directory.path} is another archive than the one that Redis knows`,
    );
  }

  /** A job that is damaged in Redis stays there. Who reads it is told. */
  async #stays(job: string, error: Damaged): Promise<void> {
    this.#log.error({ job, err: error }, "a damaged job is not moved into the archive");
    await this.#leave(job);
  }

  async #leave(job: string): Promise<void> {
    await this.#database.use((redis) => redis.zrem(keys.unarchived, job));
  }

  async #postpone(job: string, now: number): Promise<void> {
    await this.#database.use((redis) => redis.zadd(keys.unarchived, "XX", now + LATER_MS, job));
  }

  async #now(): Promise<number> {
    const [seconds, microseconds] = await this.#database.use((redis) => redis.time());
    return seconds * 1000 + microseconds / 1000;
  }
}

export function tombstone(deleted: readonly (readonly [owner: string, id: string])[]): NewEntry {
  return { about: { deleted }, parts: [] };
}
