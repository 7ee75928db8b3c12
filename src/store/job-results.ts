/**
 * The results of jobs: rows of metrics, events, checkpoints and models. Until a job is archived
 * they are in Redis, afterwards in the archive, and they move while they are read. So Redis is read
 * first, and whether the job is archived is read after that: if it is not, what was read before was
 * whole.
 */
import type { Redis } from "ioredis";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { Page } from "../contract/wire/common.ts";
import type { Event } from "../contract/wire/event.ts";
import type { Archive } from "./archive/archive.ts";
import { isNoJob } from "./archive/kept.ts";
import { readBlob, readHead, type StoredBlob } from "./blobs.ts";
import type { Database } from "./database.ts";
import { Damaged, type StoredKind } from "./errors.ts";
import { eventsIn } from "./events.ts";
import { keys } from "./keys.ts";
import { page, pageOf, type PageOptions } from "./pages.ts";
import { toCheckpoint, type MetricRow } from "./record.ts";
import { columnsOf, lastStepOf, unpackRows, type Columns } from "./rows.ts";

/** Enough for the header of any state: some thousand tensors of a hundred bytes each. */
const HEAD_BYTES = 2 * 1024 * 1024;

/** How many slices of rows are read at a time, and how many rows that an earlier version wrote. */
const SLICES = 16;
const OLDER_ROWS = 500;

export interface File {
  readonly bytes: Buffer;
  readonly sha256: string;
}

export class JobResults {
  readonly #database: Database;
  readonly #archive: Archive;

  constructor(database: Database, archive: Archive) {
    this.#database = database;
    this.#archive = archive;
  }

  /**
   * Rows of metrics in ascending order of steps, some at a time. If there is no such job, yields
   * nothing, not even an empty list.
   */
  async *metrics(owner: string, id: string, fromStep = 0, toStep = Infinity): AsyncGenerator<Columns[]> {
    const job = keys.job(owner, id);
    const find = <T>(inRedis: (redis: Redis) => Promise<T[]>) =>
      this.#find<T[] | { place: string }>(job, inRedis, async (place) => ({ place }));
    const to = toStep === Infinity ? "+inf" : toStep;
    let from = fromStep;
    // The rows of the last step that were already yielded. More rows of that step may follow.
    let given: string[] = [];
    for (let more = true; more;) {
      const rows = await find((redis) =>
        redis.zrangebyscore(keys.olderRows(job), from, to, "LIMIT", 0, OLDER_ROWS + given.length),
      );
      if (rows === null) return;
      if (!Array.isArray(rows)) return yield* this.#archivedRows(rows.place, given, from, toStep);
      yield columnsOf(rows.filter((row) => !given.includes(row)));
      more = rows.length === OLDER_ROWS + given.length;
      if (rows.length > 0) from = stepOf(rows.at(-1)!) + (more ? 0 : 1);
      given = more ? rows.filter((row) => stepOf(row) === from) : [];
    }
    for (let at = 0; ; at += SLICES - 1) {
      const slices = await find((redis) => redis.lrangeBuffer(keys.rows(job), at, at + SLICES - 1));
      if (slices === null) return;
      if (!Array.isArray(slices)) return yield* this.#archivedRows(slices.place, [], from, toStep);
      for (const slice of slices) {
        yield unpackRows(slice, from, toStep);
        // A run may replace the last slice meanwhile. So the next page begins with the last slice
        // of this page, and its rows that were not there yet.
        from = Math.max(from, lastStepOf(slice) + 1);
      }
      if (slices.length < SLICES) return;
    }
  }

  /** The rows of these steps without those that were given before. */
  async *#archivedRows(place: string, given: string[], from: number, to: number): AsyncGenerator<Columns[]> {
    const isWanted = (row: string) => stepOf(row) >= from && stepOf(row) <= to && !given.includes(row);
    const older = [...(await this.#archive.list(place, "metrics"))];
    for (let first = 0; first === 0 || first < older.length; first += OLDER_ROWS) {
      yield columnsOf(
        older
          .slice(first, first + OLDER_ROWS)
          .map(String)
          .filter(isWanted),
      );
    }
    for (const slice of await this.#archive.list(place, "rows")) yield unpackRows(slice, from, to);
  }

  /** Oldest first. */
  async events(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<Event> | null> {
    const job = keys.job(owner, id);
    const from = Number.parseInt(after ?? "", 10) || 0;
    const events = await this.#find(
      job,
      async (redis) => {
        const elements = (first: number) => redis.lrangeBuffer(keys.events(job), first, from + limit);
        const [found, packed] = await Promise.all([elements(from), redis.hget(job, "packed_events")]);
        // Up to the first packed events, each event has an element of its own.
        const first = Math.min(from, Number.parseInt(packed ?? String(from), 10));
        return eventsIn(first === from ? found : await elements(first), first, from, limit + 1);
      },
      async (place) => eventsIn(await this.#archive.list(place, "events"), 0, from, limit + 1),
    );
    return events && page(events, limit, (event) => event.id);
  }

  /** Newest first. */
  async checkpoints(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<Checkpoint> | null> {
    const job = keys.job(owner, id);
    const step = Number.parseInt(after ?? "", 10);
    const [before, below] = Number.isNaN(step) ? [Infinity, "+inf"] : [step, `(${step}`];
    const found = await this.#find<[string, Record<string, string>][]>(
      job,
      async (redis) => {
        const steps = await redis.zrevrangebyscore(keys.checkpoints(job), below, "-inf", "LIMIT", 0, limit + 1);
        return await Promise.all(steps.map(async (step) => [step, await redis.hgetall(keys.checkpoint(job, step))]));
      },
      async (place) => {
        const all = Object.entries((await this.#archive.job(place)).checkpoints);
        const earlier = all.filter(([step]) => Number(step) < before);
        return earlier.sort(([a], [b]) => Number(b) - Number(a)).slice(0, limit + 1);
      },
    );
    if (found === null) return null;
    const manifests = found.map(([step, manifest]) => (manifest.blob ? toCheckpoint(step, manifest) : null));
    return pageOf(
      found.map(([step]) => step),
      manifests,
      limit,
    );
  }

  /**
   * A checkpoint's manifest and blob, and the beginning of its file, which says what the file
   * holds. Null if the checkpoint is gone.
   * @throws Damaged
   */
  async checkpointHead(owner: string, id: string, step: number) {
    const job = keys.job(owner, id);
    const key = keys.checkpoint(job, String(step));
    const manifest = await this.#find<Record<string, string>>(
      job,
      (redis) => redis.hgetall(key),
      async (place) => (await this.#archive.job(place)).checkpoints[step] ?? {},
    );
    const file = await this.#file(job, key, "checkpoint", (source, blob) => readHead(source, blob, HEAD_BYTES));
    if (!manifest?.blob || file?.sha256 !== manifest.sha256) return null;
    const head = file.bytes.subarray(0, HEAD_BYTES);
    return { checkpoint: toCheckpoint(String(step), manifest), blob: manifest.blob, head };
  }

  /** @throws Damaged */
  async checkpointBytes(owner: string, id: string, step: number): Promise<Buffer | null> {
    return (await this.checkpointFile(owner, id, step))?.bytes ?? null;
  }

  /** @throws Damaged */
  protected async checkpointFile(owner: string, id: string, step: number): Promise<File | null> {
    const job = keys.job(owner, id);
    return await this.#file(job, keys.checkpoint(job, String(step)), "checkpoint", readBlob);
  }

  /** @throws Damaged */
  async model(owner: string, id: string, which: "final" | "best"): Promise<File | null> {
    const job = keys.job(owner, id);
    return await this.#file(job, keys.model(job, which), "model", readBlob);
  }

  /**
   * The file that a record names. What is in Redis is read with `read`, what is archived is read as
   * a whole.
   */
  async #file(job: string, record: string, kind: StoredKind, read: typeof readBlob): Promise<File | null> {
    const look = () =>
      this.#find<StoredBlob | File | null>(
        job,
        async (redis) => {
          const [blob, bytes, sha256] = await redis.hmget(record, "blob", "bytes", "sha256");
          return blob && sha256 ? { blob, bytes: Number(bytes), sha256 } : null;
        },
        (place) => this.#archive.file(place, record.slice(job.length + 1), kind),
      );
    const found = await look();
    if (found === null || !("blob" in found)) return found;
    try {
      return { bytes: await read({ database: this.#database, job, kind }, found), sha256: found.sha256 };
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      // The blob may have been dropped, or archived, while it was read.
      const now = await look();
      if (now === null || !("blob" in now)) return now;
      if (now.blob === found.blob) throw error;
      return null;
    }
  }

  /** What a job has: in Redis, or in the archive. Null if there is no such job. */
  async #find<T>(
    job: string,
    inRedis: (redis: Redis) => Promise<T>,
    inArchive: (place: string) => Promise<T>,
  ): Promise<T | null> {
    const found = await this.#database.use(inRedis);
    const [status, place] = await this.#database.use((redis) => redis.hmget(job, "status", "archived"));
    if (await isNoJob(this.#database, status)) return null;
    return place === null ? found : await inArchive(place);
  }
}

function stepOf(row: string): number {
  return (JSON.parse(row) as MetricRow).step;
}
