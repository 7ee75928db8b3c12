/**
 * What happens to a job, or to a study, as server-sent events.
 *
 * The record has all events, so a stream is only a place in the record. It reads on when there is
 * news and its client has read what came before. A client that is slow or away costs no memory. A
 * client that comes back says where it was. Streams that need the same events at the same time
 * share one read of the record.
 */
import type { News } from "../queue/news.ts";
import type { Page } from "../contract/wire/common.ts";
import { isFinal, type JobStatus } from "../contract/wire/job.ts";
import { Unavailable } from "../store/errors.ts";
import type { PageOptions } from "../store/pages.ts";

const HEARTBEAT_MS = 15_000;
/** After which the client should come back if it is cut off. */
const RETRY_MS = 1000;
const EVENTS_AT_ONCE = 100;

export interface Followed {
  readonly owner: string;
  readonly id: string;
  /** Also how far it is. */
  readonly progress: boolean;
}

export interface Happened {
  readonly id: string;
  readonly type: string;
}

/** The jobs, or the studies, of a store. */
interface Source {
  progress(owner: string, id: string): Promise<{ readonly status: JobStatus } | null>;
  events(owner: string, id: string, page: PageOptions): Promise<Page<Happened> | null>;
}

/** What a stream has sent: the last event and the last progress. */
interface Place {
  readonly event: string;
  readonly progress: string;
}

interface Reading {
  /** In the format of the stream. */
  readonly text: string;
  readonly place: Place;
  readonly next: "more" | "wait" | "end";
}

export class Follower {
  readonly #source: Source;
  readonly #news: News;
  readonly #readings = new Map<string, Promise<Reading>>();

  constructor(source: Source, news: News) {
    this.#source = source;
    this.#news = news;
  }

  /**
   * The stream after an event, until the job has ended. It includes events that are recorded after
   * the job's end if they are there by then.
   */
  async *follow(what: Followed, after: string, signal: AbortSignal): AsyncGenerator<string> {
    const watch = this.#news.watch(what.id, what.progress ? ["event", "progress"] : ["event"]);
    let place: Place = { event: after, progress: "" };
    try {
      yield `retry: ${RETRY_MS}\n\n`;
      while (!signal.aborted) {
        const reading = await this.#read(what, place, watch.latest);
        if (reading.text !== "") yield reading.text;
        place = reading.place;
        if (reading.next === "end") return;
        if (reading.next === "wait" && !(await watch.wait(HEARTBEAT_MS, signal)) && !signal.aborted) yield ":\n\n";
      }
    } finally {
      watch.close();
    }
  }

  /**
   * `latest`: the number of the news that woke the stream. A read that began before this news may
   * lack its events.
   */
  #read(what: Followed, place: Place, latest: number): Promise<Reading> {
    const key = JSON.stringify([what, place, latest]);
    const known = this.#readings.get(key);
    if (known !== undefined) return known;
    const reading = this.#look(what, place)
      .catch((error: unknown) => {
        // Redis will be back, and news with it.
        if (error instanceof Unavailable) return { text: "", place, next: "wait" as const };
        throw error;
      })
      .finally(() => this.#readings.delete(key));
    this.#readings.set(key, reading);
    return reading;
  }

  async #look({ owner, id, progress }: Followed, place: Place): Promise<Reading> {
    // First, so that the page has the event that ended the job, if that is before it.
    const document = await this.#source.progress(owner, id);
    const page = await this.#source.events(owner, id, { limit: EVENTS_AT_ONCE, after: place.event });
    const events = page?.data ?? [];
    // Taken from the job's status and not from its events: after a restore from an old copy, a
    // stream's place may lie after all events.
    const ended = page === null || document === null || (isFinal(document.status) && !page.has_more);
    const now = progress && document !== null ? JSON.stringify(document) : place.progress;
    const news = now === place.progress ? "" : frame("progress", now);
    return {
      text: news + events.map(eventFrame).join(""),
      place: { event: events.at(-1)?.id ?? place.event, progress: now },
      next: ended ? "end" : page.has_more ? "more" : "wait",
    };
  }
}

function eventFrame(event: Happened): string {
  return `id: ${event.id}\n${frame(event.type, JSON.stringify(event))}`;
}

/** Without an id the client stays where it was: after the last event. */
function frame(type: string, json: string): string {
  return `event: ${type}\ndata: ${json}\n\n`;
}
