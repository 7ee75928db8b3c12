/**
 * Writes to the record what a run does: progress, events and rows of metrics, together, at most a
 * few times a second. Checkpoints and the end of the job write rows too. Only one write of rows is
 * under way at a time, because each replaces what came before it.
 */
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { LeaseLost, RowsLost, Unavailable } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { MetricRow, NewEvent, ProgressReport } from "../store/record.ts";
import { persist, type Life } from "./persist.ts";
import { RowLog, type RowsToWrite } from "./row-log.ts";

const INTERVAL_MS = 200;
/** How many events one script appends at most. */
const EVENTS_PER_REPORT = 200;

interface Report {
  number: number;
  events: NewEvent[];
}

export class Reporter {
  readonly #lease: Lease;
  /** The progress of the run; null while there is none to report. */
  readonly progress: () => ProgressReport | null;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  readonly #broken: (error: unknown) => void;
  #events: NewEvent[] = [];
  readonly #rows = new RowLog();
  /** Resolves when no rows are being written any more. */
  #writing: Promise<unknown> = Promise.resolve();
  /**
   * A report that was sent and not acknowledged. It is sent again unchanged, before anything else.
   */
  #unacknowledged: Report | null = null;
  #sent = 0;
  #lastProgress = "";
  #sending: Promise<void> | null = null;

  /** `broken` is called with errors that would come again. */
  constructor(lease: Lease, progress: () => ProgressReport | null, log: Logger, broken: (error: unknown) => void) {
    this.#broken = broken;
    this.#attempts = new Retry("report", log);
    this.#lease = lease;
    this.progress = progress;
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
  }

  event(type: NewEvent["type"], message: string, step: number | null, data: NewEvent["data"] = null): void {
    this.#events.push({ type, message, step, data });
  }

  metrics(rows: MetricRow[]): void {
    this.#rows.add(rows);
  }

  /** Gives the rows that are to be written to `write`, once no other rows are being written. */
  async withRows(write: (rows: RowsToWrite) => Promise<void>): Promise<void> {
    const writing = this.withLastRows(write);
    this.#writing = writing;
    await writing;
  }

  /** The same for a write that ends the job. Nothing comes after it, so nothing waits for it. */
  async withLastRows<T>(write: (rows: RowsToWrite) => Promise<T>): Promise<T> {
    await this.#writing.catch(() => undefined);
    try {
      return await this.#writeRows(write);
    } catch (error) {
      if (!(error instanceof RowsLost)) throw error;
      this.#rows.rewrite();
      return await this.#writeRows(write);
    }
  }

  async #writeRows<T>(write: (rows: RowsToWrite) => Promise<T>): Promise<T> {
    const taken = this.#rows.take();
    const answer = await write(taken);
    this.#rows.written(taken);
    return answer;
  }

  committed(step: number): void {
    this.#rows.committed(step);
  }

  /** Reports everything that is waiting. */
  async flush(life: Life): Promise<void> {
    await this.#sending?.catch(() => undefined);
    await persist(life, () => this.#send());
  }

  /** Training goes back: reports everything that is waiting. */
  async rewind(life: Life): Promise<void> {
    await this.flush(life);
    this.#rows.clear();
  }

  /** Stops reporting. Returns the events that the last write to the job must include. */
  async close(life: Life): Promise<NewEvent[]> {
    this.stop();
    await this.#sending?.catch(() => undefined);
    if (this.#unacknowledged !== null || this.#events.length > EVENTS_PER_REPORT) await this.flush(life);
    return this.#events;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#attempts.gaveUp();
  }

  #tick(): void {
    this.#send()
      .then(() => this.#attempts.worked())
      .catch((error: unknown) => {
        if (error instanceof Unavailable) this.#attempts.failed(error);
        // If the lease is lost, the heartbeat learns it too, and ends the run.
        else if (!(error instanceof LeaseLost)) this.#broken(error);
      });
  }

  /** Sends one report at a time. A caller that comes meanwhile waits for the same one. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    do {
      const progress = this.progress();
      if (progress === null) return;
      const text = JSON.stringify(progress);
      const news = this.#events.length > 0 || !this.#rows.isWritten || text !== this.#lastProgress;
      if (this.#unacknowledged === null && !news) return;
      this.#unacknowledged ??= this.#take();
      const { number, events } = this.#unacknowledged;
      await this.withRows(({ rows, since }) => this.#lease.report(number, progress, events, rows, since));
      this.#unacknowledged = null;
      this.#lastProgress = text;
    } while (this.#events.length > 0);
  }

  #take(): Report {
    const events = this.#events.splice(0, EVENTS_PER_REPORT);
    return { number: ++this.#sent, events };
  }
}
