/**
 * The service as a whole, over all owners: which workers are alive, how many jobs there are, how
 * long they wait.
 */
import { FAILURE_CODES, JOB_STATUSES } from "../contract/facts.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";

/** A worker that sends no heartbeat for so long counts as dead. */
const HEARTBEAT_LIFE_MS = 10_000;

/** What a worker reports about itself every few seconds. */
export interface Heartbeat {
  id: string;
  host: string;
  pid: number;
  started_at: string;
  /** The worker is giving back its jobs and takes no more. */
  draining: boolean;
  threads: { busy: number; total: number };
  /** How many jobs it runs at once. */
  max_jobs: number;
  running: { id: string; owner: string }[];
}

/** How full Redis is, in bytes (room.ts). */
export interface Fullness {
  used: number;
  /** What open jobs may still need. */
  reserved: number;
  /** How much both may be together; null: Redis has no limit. */
  limit: number | null;
  /** Whether a job that was refused for lack of room would be refused again. */
  full: boolean;
}

export class Overview {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async beat(heartbeat: Heartbeat): Promise<void> {
    const { id } = heartbeat;
    await this.#database.use((redis) =>
      Promise.all([
        redis.set(keys.worker(id), JSON.stringify(heartbeat), "PX", HEARTBEAT_LIFE_MS),
        redis.sadd(keys.workers, id),
      ]),
    );
  }

  async leave(id: string): Promise<void> {
    await this.#database.use((redis) => Promise.all([redis.del(keys.worker(id)), redis.srem(keys.workers, id)]));
  }

  /** The workers that are alive, the oldest first. */
  async workers(): Promise<Heartbeat[]> {
    const ids = (await this.#database.use((redis) => redis.smembers(keys.workers))).sort();
    if (ids.length === 0) return [];
    const texts = await this.#database.use((redis) => redis.mget(ids.map((id) => keys.worker(id))));
    const dead = ids.filter((_, i) => texts[i] === null);
    if (dead.length > 0) await this.#database.use((redis) => redis.srem(keys.workers, dead));
    return texts.filter((text) => text !== null).map((text) => JSON.parse(text) as Heartbeat);
  }

  async jobs(): Promise<Record<JobStatus, number>> {
    const counts = await this.#database.use((redis) => redis.hgetall(keys.statuses));
    const named = JOB_STATUSES.map((status) => [status, Number(counts[status] ?? 0)]);
    return Object.fromEntries(named) as Record<JobStatus, number>;
  }

  /**
   * How many jobs wait for a worker, how many have one, and how many wait until their owners may
   * run more.
   */
  async queue(): Promise<{ waiting: number; active: number; delayed: number }> {
    const [waiting, active, delayed] = await this.#database.run<number[]>("queue_lengths", keys.waiting);
    return { waiting, active, delayed };
  }

  /** How many jobs have ever ended, by status and, if they failed, by code. */
  async ends(): Promise<{ status: string; code: string; count: number }[]> {
    const counts = await this.#database.use((redis) => redis.hgetall(keys.ends));
    const known = ["succeeded", "cancelled", ...FAILURE_CODES.map((code) => `failed:${code}`)];
    const all = new Set([...known, ...Object.keys(counts)]);
    return [...all].map((end) => {
      const [status, code = ""] = end.split(":");
      return { status, code, count: Number(counts[end] ?? 0) };
    });
  }

  async room(): Promise<Fullness> {
    const [used, reserved, limit, refused] = await this.#database.run<(string | null)[]>("room_now", keys.room);
    const fullness = { used: Number(used), reserved: Number(reserved), limit: limit === null ? null : Number(limit) };
    return { ...fullness, full: refused !== null };
  }

  /** What the archive holds, and how many ended jobs it does not have. */
  async archive(): Promise<{ jobs: number; bytes: number; waiting: number }> {
    const [[jobs, bytes], waiting] = await this.#database.use((redis) =>
      Promise.all([redis.hmget(keys.archive, "jobs", "bytes"), redis.zcard(keys.unarchived)]),
    );
    return { jobs: Number(jobs), bytes: Number(bytes), waiting };
  }

  /** How long the oldest waiting job has waited; null if none waits. */
  async oldestWaitingSeconds(): Promise<number | null> {
    const [oldest, [seconds, microseconds]] = await this.#database.use((redis) =>
      Promise.all([redis.zrange(keys.waiting, "0", "0", "WITHSCORES"), redis.time()]),
    );
    if (oldest.length === 0) return null;
    const waitedMs = seconds * 1000 + microseconds / 1000 - Number(oldest[1]);
    return Math.max(0, Math.round(waitedMs) / 1000);
  }
}
