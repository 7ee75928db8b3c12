/**
 * The format of the stored data is a number in Redis, so that no process works on data that it
 * does not understand.
 *
 * A process that starts compares the number with its own. If the store is older, the process
 * upgrades it, one number after the other, while others that start wait. If the store is newer, the
 * process does not start. A process that runs while a newer one upgrades the store takes no more
 * jobs (lua/claim.lua), and its health says so. A store without the number has format 1.
 *
 * An upgrade adds what earlier records lack. It may be interrupted, and two may run at once if one
 * takes longer than its lock lasts. So it must give the same result whatever part of it was done
 * before.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Database } from "./database.ts";
import { NewerStore } from "./errors.ts";
import { keys } from "./keys.ts";

/** Each turns a store of one format into one of the next. The first is for format 1. */
const upgrades: readonly ((database: Database) => Promise<void>)[] = [
  // What format 2 adds to a job's record is computed when a run takes the job or the job ends
  // (lua/shared/job.lua).
  async () => {},
];

export const FORMAT = upgrades.length + 1;

const LOCK_MS = 60_000;
const RETRY_MS = 100;

export class Format {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws NewerStore */
  async check(): Promise<void> {
    const stored = await this.#stored();
    if (stored > FORMAT) throw new NewerStore(stored, FORMAT);
  }

  /**
   * Upgrades the store to this format, if it is older.
   * @throws NewerStore
   */
  async upgrade(log: Logger): Promise<void> {
    await this.check();
    while ((await this.#stored()) < FORMAT) {
      if (!(await this.#alone(() => this.#upgrade(log)))) await sleep(RETRY_MS);
    }
  }

  async #upgrade(log: Logger): Promise<void> {
    // At the very first start there is nothing to upgrade, and nothing that an operator needs to
    // read.
    const isNew = await this.#isNew();
    for (let stored = await this.#stored(); stored < FORMAT; stored++) {
      if (!isNew) log.info({ from: stored, to: stored + 1 }, "upgrading the store");
      await upgrades[stored - 1](this.#database);
      await this.#database.use((redis) => redis.set(keys.format, stored + 1));
    }
  }

  /** Whether no job and no dataset has ever been stored. */
  async #isNew(): Promise<boolean> {
    return (await this.#database.use((redis) => redis.exists(keys.statuses, keys.files))) === 0;
  }

  async #stored(): Promise<number> {
    return Number((await this.#database.use((redis) => redis.get(keys.format))) ?? 1);
  }

  /** Does `work` unless another process is doing it. Returns whether it was done. */
  async #alone(work: () => Promise<void>): Promise<boolean> {
    const token = randomUUID();
    const acquired = await this.#database.use((redis) => redis.set(keys.upgrade, token, "PX", LOCK_MS, "NX"));
    if (acquired === null) return false;
    try {
      await work();
      return true;
    } finally {
      await this.#database.use(async (redis) => {
        if ((await redis.get(keys.upgrade)) === token) await redis.del(keys.upgrade);
      });
    }
  }
}
