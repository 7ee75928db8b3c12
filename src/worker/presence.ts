/** Reports every few seconds that a worker is alive, and what it is doing. */
import { hostname } from "node:os";
import { ulid } from "ulid";
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import type { Sources } from "../runner/prepare.ts";

const INTERVAL_MS = 2000;

type Overview = Sources["store"]["overview"];
type Heartbeat = Parameters<Overview["beat"]>[0];

/** What changes from one report to the next. */
export type Activity = Pick<Heartbeat, "draining" | "threads" | "max_jobs" | "running">;

export class Presence {
  readonly #overview: Overview;
  readonly #activity: () => Activity;
  readonly #attempts: Retry;
  readonly #worker = {
    id: `worker_${ulid().toLowerCase()}`,
    host: hostname(),
    pid: process.pid,
    started_at: new Date().toISOString(),
  };
  readonly #timer: NodeJS.Timeout;

  constructor(overview: Overview, activity: () => Activity, log: Logger) {
    this.#overview = overview;
    this.#activity = activity;
    this.#attempts = new Retry("presence", log);
    this.#timer = setInterval(() => this.tell(), INTERVAL_MS);
    this.tell();
  }

  tell(): void {
    this.#overview
      .beat({ ...this.#worker, ...this.#activity() })
      .then(() => this.#attempts.worked())
      .catch((error: unknown) => this.#attempts.failed(error));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#attempts.gaveUp();
    // If Redis is away, the last heartbeat expires.
    await this.#overview.leave(this.#worker.id).catch(() => undefined);
  }
}
