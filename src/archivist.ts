/**
 * Moves ended jobs from Redis into the archive (store/archive), and frees what the archive does not
 * need any more. Every process with an API asks for the turn every second, and one of them has it.
 * It does no harm if two have it at once.
 *
 * If something fails, such as a disk that is full, it is tried again and again. Meanwhile the
 * results stay in Redis, and when Redis has no more room, new jobs are refused.
 */
import type { Logger } from "pino";
import { Retry } from "./retries.ts";
import type { Compaction } from "./store/archive/compaction.ts";
import type { Mover } from "./store/archive/mover.ts";

const INTERVAL_MS = 1000;
/** A process that dies keeps the others out for so long. */
const TURN_MS = 30_000;
const COMPACTION_MS = 10 * 60_000;

export interface ArchivistOptions {
  readonly mover: Mover;
  readonly compaction: Compaction;
  readonly log: Logger;
  /** Whether the records in Redis belong to the files here. */
  readonly isSafe: () => Promise<boolean>;
  /** @throws NewerStore */
  readonly checkFormat: () => Promise<void>;
  readonly intervalMs?: number;
}

export class Archivist {
  readonly #options: ArchivistOptions;
  readonly #attempts: Retry;
  readonly #timer: NodeJS.Timeout;
  #pass: Promise<void> | null = null;
  #closing = false;
  #compactedAt = -Infinity;
  #failure: string | null = null;
  #missing: readonly string[] = [];

  constructor(options: ArchivistOptions) {
    this.#options = options;
    this.#attempts = new Retry("archive", options.log);
    this.#timer = setInterval(() => this.#start(), options.intervalMs ?? INTERVAL_MS);
    this.#start();
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    await this.#pass;
    await this.#options.mover.close();
    this.#attempts.gaveUp();
  }

  /** A sentence on what does not work; null if all does. */
  get failure(): string | null {
    if (this.#missing.length === 0) return this.#failure;
    return `${this.#missing.length} files of the archive are missing, such as ${this.#missing[0]}: restore them from a back-up`;
  }

  #start(): void {
    this.#pass ??= this.#work()
      .then(() => {
        this.#failure = null;
        this.#attempts.worked();
      })
      .catch((error: unknown) => {
        this.#failure = "ended jobs cannot be moved into the archive, and stay in Redis; the log says why";
        this.#attempts.failed(error);
      })
      .finally(() => {
        this.#pass = null;
      });
  }

  async #work(): Promise<void> {
    const { mover, compaction, isSafe, checkFormat } = this.#options;
    if (!(await isSafe())) return;
    await checkFormat();
    if (!(await mover.turn(TURN_MS))) return;
    await mover.prove();
    await mover.bury();
    while ((await mover.moveSome()) > 0) {
      if (this.#closing || !(await isSafe()) || !(await mover.turn(TURN_MS))) return;
    }
    if (performance.now() < this.#compactedAt + COMPACTION_MS) return;
    this.#compactedAt = performance.now();
    this.#missing = await compaction.run();
  }
}
