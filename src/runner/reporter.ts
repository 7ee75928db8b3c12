/**
 * Writes to the record what a run does: progress, events and rows of metrics, together, at most a
 * few times a second.
 *
 * Rows are also kept until a checkpoint is committed with them, because a committed checkpoint
 * must have all metrics up to its step.
 */
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { LeaseLost, Unavailable } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { MetricRow, NewEvent, ProgressReport } from "../store/record.ts";
import { persist, type Life } from "./persist.ts";

const INTERVAL_MS = 200;
/** How many events one script appends at most. */
const EVENTS_PER_REPORT = 200;

interface Report {
  number: number;
  events: NewEvent[];
  rows: MetricRow[];
}

export class Reporter {
  readonly #lease: Lease;
  /** The progress of the run; null while there is none to report. */
  readonly progress: () => ProgressReport | null;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  readonly #broken: (error: unknown) => void;
  #events: NewEvent[] = [];
  #rows: MetricRow[] = [];
  #uncommitted: MetricRow[] = [];
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
    for (const row of rows) {
      this.#rows.push(row);
      this.#uncommitted.push(row);
    }
  }

  /** The rows that must be committed with a checkpoint of `step`. */
  rowsUpTo(step: number): MetricRow[] {
    return upTo(step, this.#uncommitted);
  }

  committed(step: number): void {
    this.#uncommitted = this.#uncommitted.filter((row) => row.step > step);
  }

  /** Reports everything that is waiting. */
  async flush(life: Life): Promise<void> {
    await this.#sending?.catch(() => undefined);
    await persist(life, () => this.#send());
  }

  /**
   * Training goes back to `step`: reports everything that is waiting, and drops the rows after it.
   */
  async rewind(step: number, life: Life): Promise<void> {
    await this.flush(life);
    this.#uncommitted = upTo(step, this.#uncommitted);
  }

  /** Stops reporting. Returns what the last write to the job must include. */
  async close(life: Life): Promise<{ events: NewEvent[]; rows: MetricRow[] }> {
    this.stop();
    await this.#sending?.catch(() => undefined);
    if (this.#unacknowledged !== null || this.#events.length > EVENTS_PER_REPORT) await this.flush(life);
    return { events: this.#events, rows: this.#uncommitted };
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
      const news = this.#events.length > 0 || this.#rows.length > 0 || text !== this.#lastProgress;
      if (this.#unacknowledged === null && !news) return;
      this.#unacknowledged ??= this.#take();
      const { number, events, rows } = this.#unacknowledged;
      await this.#lease.report(number, progress, events, rows);
      this.#unacknowledged = null;
      this.#lastProgress = text;
    } while (this.#events.length > 0);
  }

  #take(): Report {
    const events = this.#events.splice(0, EVENTS_PER_REPORT);
    const report = { number: ++this.#sent, events, rows: this.#rows };
    this.#rows = [];
    return report;
  }
}

function upTo(step: number, rows: MetricRow[]): MetricRow[] {
  return rows.filter((row) => row.step <= step);
}
