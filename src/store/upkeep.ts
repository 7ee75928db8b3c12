/**
 * What the reconciler needs: the jobs of all owners that have not ended, and the commands that
 * repair them.
 */
import { randomUUID } from "node:crypto";
import type { JobStatus } from "../contract/wire/job.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { named } from "./record.ts";

const BATCH = 500;

/** A job that has not ended. */
export interface OpenJob {
  owner: string;
  id: string;
  status: JobStatus;
  delivery: number;
  turn: number;
  /** Whether a run holds the job. */
  leased: boolean;
}

export class Upkeep {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Does `work`, which should take less than `atMostMs`, unless another process is doing it. */
  async alone(atMostMs: number, work: () => Promise<void>): Promise<void> {
    const token = randomUUID();
    const acquired = await this.#database.use((redis) => redis.set(keys.reconciler, token, "PX", atMostMs, "NX"));
    if (acquired === null) return;
    try {
      await work();
    } finally {
      // If the lock is lost between the two commands, two processes work for a while. That does no
      // harm.
      await this.#database.use(async (redis) => {
        if ((await redis.get(keys.reconciler)) === token) await redis.del(keys.reconciler);
      });
    }
  }

  /** Yields batches. A job may come twice if others end meanwhile. */
  async *openJobs(): AsyncGenerator<OpenJob[]> {
    let cursor = "0";
    do {
      const [next, flat] = await this.#database.use((redis) => redis.hscan(keys.open, cursor, "COUNT", BATCH));
      const now = await this.#now();
      const found = Array.from({ length: flat.length / 2 }, (_, i) => this.#openJob(flat[2 * i], flat[2 * i + 1], now));
      yield (await Promise.all(found)).filter((job) => job !== null);
      cursor = next;
    } while (cursor !== "0");
  }

  /** Cancels or pauses a job whose run was asked to do so and died before it could. */
  async settle({ owner, id }: Pick<OpenJob, "owner" | "id">): Promise<void> {
    await this.#database.run("settle", keys.job(owner, id));
  }

  /** The number of a further delivery, or null if it is no longer needed. */
  async redeliver({ owner, id, delivery }: OpenJob): Promise<number | null> {
    return await this.#database.run("redeliver", keys.job(owner, id), delivery);
  }

  /** Deletes the jobs that ended longer ago than `ageMs`. */
  async purge(ageMs: number): Promise<void> {
    const until = (await this.#now()) - ageMs;
    const due = await this.#database.use((redis) => redis.zrangebyscore(keys.ended, "-inf", until, "LIMIT", 0, BATCH));
    for (const job of due) await this.#database.run("remove_job", job);
  }

  async #openJob(id: string, owner: string, now: number): Promise<OpenJob | null> {
    const fields = ["status", "delivery", "turn", "lease_expires_at"] as const;
    const values = await this.#database.use((redis) => redis.hmget(keys.job(owner, id), ...fields));
    const { status, delivery, turn, lease_expires_at } = named(fields, values);
    if (status === null) return null;
    return {
      owner,
      id,
      status: status as JobStatus,
      delivery: Number(delivery),
      turn: Number(turn ?? 1),
      leased: Number(lease_expires_at) > now,
    };
  }

  async #now(): Promise<number> {
    const [seconds, microseconds] = await this.#database.use((redis) => redis.time());
    return seconds * 1000 + microseconds / 1000;
  }
}
