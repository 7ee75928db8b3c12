/**
 * Notices that Redis has lost its data: it was emptied, came back without them, or is another
 * Redis than before.
 *
 * Redis holds a random id, the epoch, and the data directory holds the same id in the file
 * `epoch`. While both agree, the records belong to the files here. If they differ, the log says so
 * and `/readyz` fails and says what was lost, also after a restart. That ends when the back-up is
 * restored, or when an operator accepts the loss by removing the file. Until then no file is
 * removed because it has no record.
 */
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import type { Logger } from "./log.ts";
import { Unavailable } from "./store/errors.ts";
import type { Contents, Store } from "./store/store.ts";

const LOOK_MS = 2000;

export interface EpochOptions {
  readonly store: Store;
  /** The file that holds the epoch. */
  readonly path: string;
  readonly log: Logger;
  /** Writes again what a start writes into Redis. */
  readonly refill: () => Promise<void>;
}

export class StoreEpoch {
  readonly #options: EpochOptions;
  readonly #timer: NodeJS.Timeout;
  /** What Redis held when both last agreed. */
  #last: Contents | null = null;
  #lost: string | null = null;
  #toRefill = false;

  private constructor(options: EpochOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look().catch(() => undefined), LOOK_MS).unref();
  }

  static async open(options: EpochOptions): Promise<StoreEpoch> {
    const epoch = new StoreEpoch(options);
    await epoch.#look();
    return epoch;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** A sentence about what was lost; null if nothing was lost. */
  get lost(): string | null {
    return this.#lost;
  }

  /** @throws Error that says what was lost */
  async check(): Promise<void> {
    await this.#look().catch((error: unknown) => {
      // Another check says that Redis is away.
      if (!(error instanceof Unavailable)) throw error;
    });
    if (this.#lost !== null) throw new Error(this.#lost);
  }

  async #look(): Promise<void> {
    const { store, path, log } = this.#options;
    const remembered = await readRemembered(path);
    if (remembered === "") {
      const id = await store.beginEpoch(randomUUID());
      await writeFile(path, id, { mode: 0o600 });
      if (this.#lost !== null) log.warn("the loss of Redis' data was accepted");
      this.#lost = null;
      return;
    }
    const contents = await store.contents();
    if (contents.epoch === remembered) {
      if (this.#lost !== null) log.warn("Redis has the data again that it had lost");
      this.#lost = null;
      this.#last = contents;
      return;
    }
    if (this.#lost !== null) return await this.#refillOnce();
    const had = this.#last && ` It had ${this.#last.jobs} jobs and ${this.#last.files} files of datasets.`;
    this.#lost = `Redis came back without the data that belong to this data directory, or is another one.${had ?? ""} Restore the back-up, or accept the loss by removing ${path}.`;
    log.error({ epoch: contents.epoch, remembered }, this.#lost);
    this.#toRefill = true;
    await this.#refillOnce();
  }

  /** Repeated until it works: without it owners would have no limits. */
  async #refillOnce(): Promise<void> {
    if (!this.#toRefill) return;
    await this.#options.refill();
    this.#toRefill = false;
  }
}

/**
 * Returns "" if there is no such file: then a loss is accepted. A file that cannot be read now is
 * an error.
 */
async function readRemembered(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
