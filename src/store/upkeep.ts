/** What the reconciler needs: it finds the jobs that nobody works on any more, and old jobs. */
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";

/** How many jobs one script looks at. */
const BATCH = 100;

/** A job that must be delivered. */
export interface Due {
  owner: string;
  id: string;
  /** The number of this delivery, from 1. */
  delivery: number;
  turn: number;
}

export class Upkeep {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Whether nobody else has had the turn for `ms`: then it is the caller's. */
  async turn(ms: number): Promise<boolean> {
    return (await this.#database.run("reconciler_turn", keys.reconciler, Math.ceil(ms))) === 1;
  }

  /**
   * Looks at the open jobs that nobody has changed for some time (lua/sweep.lua). Cancels or pauses
   * them if their runs died before they could. Yields those that must be delivered again.
   */
  async *sweep(pauseMs: number): AsyncGenerator<Due[]> {
    let cursor = "0";
    do cursor = await this.#database.run("list_due", keys.due, cursor, BATCH);
    while (cursor !== "0");
    let looked: number;
    do {
      const [count, ...lost] = await this.#database.run<[number, ...string[]]>("sweep", keys.due, BATCH, pauseMs);
      looked = count;
      yield Array.from({ length: lost.length / 4 }, (_, i) => {
        const [owner, id, delivery, turn] = lost.slice(4 * i, 4 * i + 4);
        return { owner, id, delivery: Number(delivery), turn: Number(turn) };
      });
    } while (looked === BATCH);
  }

  /** Deletes the jobs that ended longer ago than `ageMs`. */
  async purge(ageMs: number): Promise<void> {
    const until = (await this.#now()) - ageMs;
    const old = await this.#database.use((redis) => redis.zrangebyscore(keys.ended, "-inf", until, "LIMIT", 0, BATCH));
    for (const job of old) await this.#database.run("remove_job", job);
  }

  async #now(): Promise<number> {
    const [seconds, microseconds] = await this.#database.use((redis) => redis.time());
    return seconds * 1000 + microseconds / 1000;
  }
}
