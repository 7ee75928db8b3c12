/**
 * Tells a run at once what is wanted of it. A message is a job's id and its new status. A run that
 * misses it finds the status in the record when it next renews its lease.
 */
import type { Redis } from "ioredis";
import type { JobStatus } from "../contract/wire/job.ts";
import { keys } from "../store/keys.ts";

type Listener = (status: JobStatus) => void;

export class Control {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Listener>();

  /** `redis` must be a separate connection that waits for Redis (maxRetriesPerRequest: null). */
  constructor(redis: Redis) {
    this.#redis = redis;
    this.#redis.on("message", (_channel, message) => {
      const [jobId, status] = message.split(" ");
      this.#listeners.get(jobId)?.(status as JobStatus);
    });
    this.#redis.subscribe(keys.control).catch(() => undefined);
  }

  listen(jobId: string, listener: Listener): void {
    this.#listeners.set(jobId, listener);
  }

  unlisten(jobId: string): void {
    this.#listeners.delete(jobId);
  }

  close(): void {
    this.#redis.disconnect();
  }
}
