/** What the reconciler needs: it finds the jobs that nobody works on any more, and old jobs. */
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";

/** How many jobs one script looks at. */
const BATCH = 100;

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
   * Looks at the open jobs whose time has come (lua/sweep.lua). Cancels or pauses them if their
   * runs died before they could, and lets the others run again. Returns whether a wake-up must be
   * added to the queue.
   */
  async sweep(): Promise<boolean> {
    const look = async (check: 0 | 1) =>
      await this.#database.run<[looked: number, wake?: number]>("sweep", keys.due, BATCH, check);
    let [looked, wake] = await look(1);
    if (looked === -1) await this.#listDue();
    while (looked === -1 || looked === BATCH) [looked, wake] = await look(0);
    return wake === 1;
  }

  async #listDue(): Promise<void> {
    let cursor = "0";
    do cursor = await this.#database.run("list_due", keys.due, cursor, BATCH);
    while (cursor !== "0");
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
