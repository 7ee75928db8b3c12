/**
 * Repairs what a process left undone when it died: lets jobs run again whose run died, cancels or
 * pauses those whose run died before it could, and replaces lost wake-ups. Deletes old jobs. Every
 * process asks for a turn at its start and every few seconds, and one of them gets it. It looks
 * only at jobs that are due (store/lua/sweep.lua), so that a turn costs little however many jobs
 * wait. It does no harm if a reconciler is late or if two run at once: each look is one script.
 */
import type { Logger } from "pino";
import { Retry } from "../retries.ts";
import type { Store } from "../store/store.ts";
import type { WakeUps } from "./wake-ups.ts";

const INTERVAL_MS = 2500;
/** How long a turn keeps the others out, in intervals. At the next interval the turn is free. */
const TURN = 0.9;

export interface ReconcilerOptions {
  /** How long jobs are kept after they have ended. */
  keepMs: number;
  log: Logger;
  intervalMs?: number;
}

export class Reconciler {
  readonly #store: Store;
  readonly #wakeUps: WakeUps;
  readonly #options: ReconcilerOptions;
  readonly #intervalMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  #pass: Promise<void> | null = null;

  constructor(store: Store, wakeUps: WakeUps, options: ReconcilerOptions) {
    this.#store = store;
    this.#wakeUps = wakeUps;
    this.#options = options;
    this.#attempts = new Retry("reconcile", options.log);
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#timer = setInterval(() => this.#start(), this.#intervalMs);
    this.#start();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#pass;
    this.#attempts.gaveUp();
  }

  #start(): void {
    this.#pass ??= this.#reconcile()
      .then(() => this.#attempts.worked())
      .catch((error: unknown) => this.#attempts.failed(error))
      .finally(() => {
        this.#pass = null;
      });
  }

  async #reconcile(): Promise<void> {
    await this.#store.format.check();
    // A process that dies in the middle keeps the others out for one interval.
    if (!(await this.#store.upkeep.turn(TURN * this.#intervalMs))) return;
    if (await this.#store.upkeep.sweep()) {
      this.#options.log.info("waking a worker: jobs wait, and no wake-up is in the queue");
      await this.#wakeUps.add();
    }
    await this.#store.upkeep.purge(this.#options.keepMs);
  }
}
