/**
 * Tells a run at once what is wanted of it. A message is a job's id and its new status. A run that
 * misses it finds the status in the record when it next renews its lease.
 */
import type { Redis } from "ioredis";
import type { JobStatus } from "../contract/wire/job.ts";
import { keys } from "../store/keys.ts";

type Listener = (status: JobStatus) => void;

/** Of so many jobs it is known that nobody heard a message. */
const MOST_UNHEARD = 1000;

export class Control {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Listener>();
  /** The jobs that messages named while nobody listened, the latest last. */
  readonly #unheard = new Set<string>();

  /** `redis` must be a separate connection that waits for Redis (maxRetriesPerRequest: null). */
  constructor(redis: Redis) {
    this.#redis = redis;
    this.#redis.on("message", (_channel, message) => {
      const [jobId, status] = message.split(" ");
      const listener = this.#listeners.get(jobId);
      if (listener === undefined) this.#remember(jobId);
      else listener(status as JobStatus);
    });
    this.#redis.subscribe(keys.control).catch(() => undefined);
  }

  /**
   * Returns whether the last message about this job came before, so that the record may say
   * something else than when the job began.
   */
  listen(jobId: string, listener: Listener): boolean {
    this.#listeners.set(jobId, listener);
    return this.#unheard.delete(jobId);
  }

  unlisten(jobId: string): void {
    this.#listeners.delete(jobId);
  }

  #remember(jobId: string): void {
    this.#unheard.delete(jobId);
    this.#unheard.add(jobId);
    if (this.#unheard.size > MOST_UNHEARD) this.#unheard.delete(this.#unheard.values().next().value!);
  }

  close(): void {
    this.#redis.disconnect();
  }
}
