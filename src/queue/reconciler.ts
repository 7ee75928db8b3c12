/**
 * Repairs what a process left undone when it died: delivers lost jobs again, cancels or pauses
 * jobs whose run died before it could, and deletes old jobs. It runs in every process, at the start
 * and every few seconds, under a lock. A script checks each change again, so it does no harm if a
 * reconciler is wrong, late or runs twice.
 */
import type { Logger } from "pino";
import { Retry } from "../retries.ts";
import type { Store } from "../store/store.ts";
import type { OpenJob } from "../store/upkeep.ts";
import type { Deliveries } from "./deliveries.ts";

const INTERVAL_MS = 5000;

export interface ReconcilerOptions {
  /** How long jobs are kept after they have ended. */
  keepMs: number;
  log: Logger;
  intervalMs?: number;
}

export class Reconciler {
  readonly #store: Store;
  readonly #deliveries: Deliveries;
  readonly #options: ReconcilerOptions;
  readonly #intervalMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  #pass: Promise<void> | null = null;

  constructor(store: Store, deliveries: Deliveries, options: ReconcilerOptions) {
    this.#store = store;
    this.#deliveries = deliveries;
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
    await this.#store.upkeep.alone(this.#intervalMs, async () => {
      for await (const jobs of this.#store.upkeep.openJobs()) {
        await Promise.all(jobs.filter((job) => !job.leased).map((job) => this.#repair(job)));
      }
      await this.#store.upkeep.purge(this.#options.keepMs);
    });
  }

  async #repair(job: OpenJob): Promise<void> {
    if (job.status === "cancelling" || job.status === "pausing") {
      await this.#store.upkeep.settle(job);
    } else if (job.status !== "paused" && !(await this.#deliveries.has(job.id, job.delivery))) {
      const delivery = await this.#store.upkeep.redeliver(job);
      if (delivery === null) return;
      this.#options.log.info({ job_id: job.id, delivery }, "delivering again");
      await this.#deliveries.deliver({ ...job, delivery });
    }
  }
}
