/**
 * Events on their way to webhooks. The script that records an event puts it here too, so that none
 * is missed. An event stays until it was handed on. So if a process dies in between, another hands
 * it on.
 */
import { crashPoint } from "../crash-point.ts";
import type { Event } from "../contract/wire/event.ts";
import type { JobSummary } from "../contract/wire/job.ts";
import type { StudyEvent, StudySummary } from "../contract/wire/study.ts";
import type { NewEvent } from "./record.ts";
import type { Database } from "./database.ts";
import type { Jobs } from "./jobs.ts";
import { Unavailable } from "./errors.ts";
import { keys } from "./keys.ts";
import type { PageOptions } from "./pages.ts";
import type { Studies } from "./studies.ts";

const BATCH = 100;

/** An event that the webhook of a job or a study wants. */
export interface Notice {
  readonly owner: string;
  /** Of the job or the study. */
  readonly id: string;
  readonly url: string;
  /** Owners take turns (lua/notice_turn.lua). */
  readonly turn: number;
  /** The event, and the job or the study as it is now. */
  readonly told: { event: Event; job: JobSummary } | { event: StudyEvent; study: StudySummary };
}

export class Outbox {
  readonly #database: Database;
  readonly #jobs: Jobs;
  readonly #studies: Studies;

  constructor(database: Database, jobs: Jobs, studies: Studies) {
    this.#database = database;
    this.#jobs = jobs;
    this.#studies = studies;
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
   * Records that the notice's turn has come. Returns whether it is still wanted: its job or study
   * and the webhook are still there.
   */
  async begin(owner: string, id: string, turn: number): Promise<boolean> {
    return (await this.#database.run("notice_begins", recordOf(owner, id), turn)) === 1;
  }

  /** Stops all messages to the webhook of a job or a study. */
  async disable(owner: string, id: string): Promise<void> {
    await this.#database.use((redis) => redis.hdel(recordOf(owner, id), "webhook"));
  }

  /**
   * Records at the job or the study, if it is still there, that a message was not delivered. It is
   * recorded once, even if a process dies and another gives up the same message again.
   */
  async undelivered(owner: string, id: string, messageId: string, event: NewEvent): Promise<void> {
    await this.#database.run("undelivered", recordOf(owner, id), messageId, JSON.stringify(event));
  }

  /** Gives back the room of a message that was delivered or given up. */
  async settled(owner: string, id: string, messageId: string): Promise<void> {
    await this.#database.run("notice_settled", recordOf(owner, id), messageId);
  }

  /** Null if the job or the study was deleted meanwhile. */
  async #notice(entry: string): Promise<Notice | null> {
    const [owner, id, eventId] = entry.split(" ");
    const at = { limit: 1, after: String(Number(eventId) - 1) };
    const found = isStudy(id) ? await this.#toldOfStudy(owner, id, at) : await this.#toldOfJob(owner, id, at);
    if (found === null) return null;
    const turn = await this.#database.run<number>("notice_turn", recordOf(owner, id));
    return { owner, id, turn, ...found };
  }

  async #toldOfJob(owner: string, id: string, at: PageOptions): Promise<Pick<Notice, "url" | "told"> | null> {
    const found = await this.#jobs.get(owner, id);
    const events = await this.#jobs.events(owner, id, at);
    if (!found?.spec.webhook || !events?.data.length) return null;
    const { spec, ...job } = found;
    return { url: spec.webhook!.url, told: { event: events.data[0], job } };
  }

  async #toldOfStudy(owner: string, id: string, at: PageOptions): Promise<Pick<Notice, "url" | "told"> | null> {
    const found = await this.#studies.get(owner, id);
    const events = await this.#studies.events(owner, id, at);
    if (!found?.webhook || !events?.data.length) return null;
    const { spec: _, space: __, ...study } = found;
    return { url: found.webhook.url, told: { event: events.data[0], study } };
  }
}

function isStudy(id: string): boolean {
  return id.startsWith("study_");
}

function recordOf(owner: string, id: string): string {
  return isStudy(id) ? keys.study(owner, id) : keys.job(owner, id);
}
