/**
 * Tells the record what a run does: progress, events, rows of metrics; together, and a few times a
 * second at most.
 *
 * Rows are also kept until a checkpoint has carried them, since one that is committed must have all
 * metrics up to its step.
 */
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { LeaseLost, Unavailable } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { MetricRow, NewEvent, ProgressReport } from "../store/record.ts";
import { persist, type Life } from "./persist.ts";

const INTERVAL_MS = 200;
/** What one script appends at most. */
const EVENTS_PER_REPORT = 200;

interface Report {
  number: number;
  events: NewEvent[];
  rows: MetricRow[];
}

export class Reporter {
  readonly #lease: Lease;
  /** How far the run is; null while there is nothing to tell of yet. */
  readonly progress: () => ProgressReport | null;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts: Retry;
  readonly #broken: (error: unknown) => void;
  #events: NewEvent[] = [];
  #rows: MetricRow[] = [];
  #uncommitted: MetricRow[] = [];
  /** What was sent and not acknowledged; it is sent again as it was, before anything else. */
  #unacknowledged: Report | null = null;
  #sent = 0;
  #lastProgress = "";
  #sending: Promise<void> | null = null;

  /** `broken` is told of what goes wrong and would again. */
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

  /** The rows that a checkpoint of `step` must carry. */
  rowsUpTo(step: number): MetricRow[] {
    return upTo(step, this.#uncommitted);
  }

  committed(step: number): void {
    this.#uncommitted = this.#uncommitted.filter((row) => row.step > step);
  }

  /** Tells what there is to tell. */
  async flush(life: Life): Promise<void> {
    await this.#sending?.catch(() => undefined);
    await persist(life, () => this.#send());
  }

  /** Training goes back to `step`: tells what there is to tell, and forgets the rows after it. */
  async rewind(step: number, life: Life): Promise<void> {
    await this.flush(life);
    this.#uncommitted = upTo(step, this.#uncommitted);
  }

  /** Stops reporting; returns what the last word on the job has to carry. */
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
        // The job is someone else's: the heartbeat learns it too.
        else if (!(error instanceof LeaseLost)) this.#broken(error);
      });
  }

  /** One at a time: whoever comes meanwhile waits for the same. */
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
