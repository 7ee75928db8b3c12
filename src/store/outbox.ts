/**
 * Events on their way to webhooks. The script that records an event puts it here too, so that none
 * is missed. An event stays until it was handed on. So if a process dies in between, another hands
 * it on.
 */
import { crashPoint } from "../crash-point.ts";
import type { Event } from "../contract/wire/event.ts";
import type { JobSummary } from "../contract/wire/job.ts";
import type { NewEvent } from "./record.ts";
import type { Database } from "./database.ts";
import type { Jobs } from "./jobs.ts";
import { Unavailable } from "./errors.ts";
import { keys } from "./keys.ts";

const BATCH = 100;

/** An event that a job's webhook wants. */
export interface Notice {
  readonly owner: string;
  readonly url: string;
  /** Owners take turns (lua/notice_turn.lua). */
  readonly turn: number;
  readonly event: Event;
  /** The job as it is now. */
  readonly job: JobSummary;
}

export class Outbox {
  readonly #database: Database;
  readonly #jobs: Jobs;

  constructor(database: Database, jobs: Jobs) {
    this.#database = database;
    this.#jobs = jobs;
  }

  /**
   * Gives the waiting events to `handOn`, many at a time. If `handOn` throws at an event, that
   * event stays, and the others go on.
   * @throws the first error of `handOn`, after all events
   */
  async forward(handOn: (notice: Notice) => Promise<void>): Promise<void> {
    const failures: unknown[] = [];
    for (;;) {
      const from = failures.length;
      const entries = await this.#database.use((redis) => redis.lrange(keys.outbox, from, from + BATCH - 1));
      const outcomes = await Promise.allSettled(entries.map((entry) => this.#forwardOne(entry, handOn)));
      for (const outcome of outcomes) if (outcome.status === "rejected") failures.push(outcome.reason);
      // If the store is away or full, it takes none of the others either.
      if (entries.length < BATCH || failures.some((failure) => failure instanceof Unavailable)) break;
    }
    if (failures.length > 0) throw failures[0];
  }

  async #forwardOne(entry: string, handOn: (notice: Notice) => Promise<void>): Promise<void> {
    const notice = await this.#notice(entry);
    crashPoint("before-forward");
    if (notice !== null) await handOn(notice);
    crashPoint("after-forward");
    await this.#database.use((redis) => redis.lrem(keys.outbox, 1, entry));
  }

  /**
   * Records that the notice's turn has come. Returns whether it is still wanted: the job and its
   * webhook are still there.
   */
  async begin(owner: string, jobId: string, turn: number): Promise<boolean> {
    return (await this.#database.run("notice_begins", keys.job(owner, jobId), turn)) === 1;
  }

  /** Stops all messages to the job's webhook. */
  async disable(owner: string, jobId: string): Promise<void> {
    await this.#database.use((redis) => redis.hdel(keys.job(owner, jobId), "webhook"));
  }

  /**
   * Records at the job, if it is still there, that a message was not delivered. It is recorded
   * once, even if a process dies and another gives up the same message again.
   */
  async undelivered(owner: string, jobId: string, messageId: string, event: NewEvent): Promise<void> {
    await this.#database.run("undelivered", keys.job(owner, jobId), messageId, JSON.stringify(event));
  }

  /** Gives back the room of a message that was delivered or given up. */
  async settled(owner: string, jobId: string, messageId: string): Promise<void> {
    await this.#database.run("notice_settled", keys.job(owner, jobId), messageId);
  }

  /** Null if the job was deleted meanwhile. */
  async #notice(entry: string): Promise<Notice | null> {
    const [owner, jobId, eventId] = entry.split(" ");
    const found = await this.#jobs.get(owner, jobId);
    const events = await this.#jobs.events(owner, jobId, { limit: 1, after: String(Number(eventId) - 1) });
    if (!found?.spec.webhook || !events?.data.length) return null;
    const { spec, ...job } = found;
    const turn = await this.#database.run<number>("notice_turn", keys.job(owner, jobId));
    return { owner, url: spec.webhook!.url, turn, event: events.data[0], job };
  }
}
