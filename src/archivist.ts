/**
 * Moves ended jobs from Redis into the archive (store/archive), and frees what the archive does not
 * need any more. Every process with an API asks for the turn every second, and one of them has it.
 * It does no harm if two have it at once.
 *
 * While the process is busy, ended jobs wait for some intervals, unless Redis is short of room. So
 * a burst of small jobs is moved when it is over, or in few large batches.
 *
 * If something fails, such as a disk that is full, it is tried again and again. Meanwhile the
 * results stay in Redis, and when Redis has no more room, new jobs are refused.
 */
import type { Logger } from "pino";
import { Retry } from "./retries.ts";
import type { Compaction } from "./store/archive/compaction.ts";
import { BATCH, type Mover } from "./store/archive/mover.ts";
import { OutOfReach } from "./store/errors.ts";

const INTERVAL_MS = 1000;
/** A process that dies keeps the others out for so long. */
const TURN_MS = 30_000;
const COMPACTION_MS = 10 * 60_000;
/** For so many intervals jobs are moved before the rest has its turn again. */
const BURST = 10;
/** The part of an interval from which the event loop counts as busy. */
const BUSY = 0.25;
/** For so many intervals ended jobs wait while the process is busy. */
const MOST_WAITS = 4;

export interface ArchivistOptions {
  readonly mover: Mover;
  readonly compaction: Compaction;
  readonly log: Logger;
  /** Whether the records in Redis belong to the files here. */
  readonly isSafe: () => Promise<boolean>;
  /** Whether Redis may soon have no more room. */
  readonly isShort: () => Promise<boolean>;
  /** @throws NewerStore */
  readonly checkFormat: () => Promise<void>;
  readonly intervalMs?: number;
}

export class Archivist {
  readonly #options: ArchivistOptions;
  readonly #attempts: Retry;
  readonly #intervalMs: number;
  readonly #timer: NodeJS.Timeout;
  #pass: Promise<void> | null = null;
  #closing = false;
  #compactedAt = -Infinity;
  #use = performance.eventLoopUtilization();
  #waits = 0;
  #failure: string | null = null;
  #missing: readonly string[] = [];

  constructor(options: ArchivistOptions) {
    this.#options = options;
    this.#attempts = new Retry("archive", options.log);
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#timer = setInterval(() => this.#start(), this.#intervalMs);
    this.#start();
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    await this.#pass;
    await this.#options.mover.giveWay().catch(() => undefined);
    await this.#options.mover.close();
    this.#attempts.gaveUp();
  }

  /** A sentence on what does not work; null if all does. */
  get failure(): string | null {
    if (this.#missing.length === 0) return this.#failure;
    return `${this.#missing.length} files of the archive are missing or cannot be read, such as ${this.#missing[0]}: restore them from a back-up`;
  }

  #start(): void {
    this.#pass ??= this.#work()
      .then(() => {
        this.#failure = null;
        this.#attempts.worked();
      })
      .catch((error: unknown) => {
        this.#failure =
          error instanceof OutOfReach
            ? "the archive of ended jobs is out of reach of this process; the log says why"
            : "ended jobs cannot be moved into the archive, and stay in Redis; the log says why";
        this.#attempts.failed(error);
      })
      .finally(() => {
        this.#pass = null;
      });
  }

  async #work(): Promise<void> {
    const { mover, isSafe, checkFormat } = this.#options;
    if (!(await isSafe())) return;
    await checkFormat();
    // Before the turn: a process with a wrong directory says so, also while another has the turn.
    await mover.check();
    if (!(await mover.turn(TURN_MS))) {
      // It may be mended meanwhile. Who has the turn looks.
      this.#missing = [];
      return;
    }
    try {
      await this.#inTurn();
    } catch (error) {
      // It may be the disk of this host alone.
      await mover.giveWay().catch(() => undefined);
      throw error;
    }
  }

  /** Whether the process has more urgent work than to move jobs. */
  async #mayWait(): Promise<boolean> {
    const before = this.#use;
    this.#use = performance.eventLoopUtilization();
    const isBusy = performance.eventLoopUtilization(this.#use, before).utilization > BUSY;
    const waits = isBusy && this.#waits < MOST_WAITS && !(await this.#options.isShort());
    this.#waits = waits ? this.#waits + 1 : 0;
    return waits;
  }

  async #inTurn(): Promise<void> {
    const { mover, compaction, isSafe } = this.#options;
    await mover.prove();
    await mover.bury();
    if (await this.#mayWait()) return;
    // Jobs may end all the time. What a full batch leaves may wait for the next interval: to move
    // a few jobs costs as much as to move many.
    const until = performance.now() + BURST * this.#intervalMs;
    while (performance.now() < until && (await mover.moveSome()) >= BATCH) {
      if (this.#closing || !(await isSafe()) || !(await mover.turn(TURN_MS))) return;
    }
    if (performance.now() < this.#compactedAt + COMPACTION_MS) return;
    this.#compactedAt = performance.now();
    this.#missing = await compaction.run();
  }
}
