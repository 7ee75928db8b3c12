/** Renews a run's lease. Each renewal also tells what is wanted of the run. */
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import { LeaseLost, Unavailable } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { Blame } from "../store/renew.ts";

const BEATS_PER_LEASE = 4;

export interface HeartbeatHandlers {
  /** The job's status, which says what the run should do. */
  status(status: JobStatus): void;
  /** Redis does not answer: nothing can be written, and the lease may lapse. */
  away(): void;
  /** Redis answers again, and the run is still the latest. */
  back(): void;
  /**
   * Another run has the job, or the job has ended. `silenced`: Redis did not answer for a while
   * before.
   */
  lost(silenced: boolean): void;
  /** The cause is not Redis, and the next attempt would fail too. */
  broken(error: unknown): void;
}

export class Heartbeat {
  readonly #lease: Lease;
  readonly #leaseMs: number;
  readonly #blame: () => Blame;
  readonly #handlers: HeartbeatHandlers;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  #renewedAt = performance.now();
  #beating = false;
  #again = false;
  #away = false;
  #lastWriteBegan = false;
  #closed = false;

  constructor(lease: Lease, leaseMs: number, blame: () => Blame, handlers: HeartbeatHandlers, log: Logger) {
    this.#attempts = new Retry("heartbeat", log);
    this.#lease = lease;
    this.#leaseMs = leaseMs;
    this.#blame = blame;
    this.#handlers = handlers;
    this.#timer = setInterval(() => this.#tick(), leaseMs / BEATS_PER_LEASE);
  }

  /** Renews now, to learn what is wanted. */
  renewNow(): void {
    if (this.#closed) return;
    if (this.#beating) this.#again = true;
    else void this.#beat();
  }

  /** The run is about to give up its lease. From now on it is no fault to lose it. */
  lastWriteBegins(): void {
    this.#lastWriteBegan = true;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#attempts.gaveUp();
  }

  #tick(): void {
    // A server that hangs neither answers nor refuses. So silence counts as away, too.
    if (this.#beating && performance.now() - this.#renewedAt > this.#leaseMs) this.#leave();
    if (!this.#beating) void this.#beat();
  }

  async #beat(): Promise<void> {
    this.#beating = true;
    try {
      const status = await this.#lease.renew(this.#leaseMs, this.#blame());
      this.#renewedAt = performance.now();
      this.#attempts.worked();
      this.#return();
      this.#handlers.status(status);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#beating = false;
    }
    if (this.#again && !this.#closed) {
      this.#again = false;
      await this.#beat();
    }
  }

  #failed(error: unknown): void {
    if (error instanceof Unavailable) {
      this.#attempts.failed(error);
      return this.#leave();
    }
    this.close();
    if (!(error instanceof LeaseLost)) this.#handlers.broken(error);
    else if (!this.#lastWriteBegan) this.#handlers.lost(this.#away);
  }

  #leave(): void {
    if (this.#away) return;
    this.#away = true;
    this.#handlers.away();
  }

  #return(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#handlers.back();
  }
}
