/**
 * Tells a run at once that something is wanted of it. The message is only "look": what is wanted stands in the record, where a run that missed the
 * message finds it when it next renews its lease.
 */
import type { Redis } from "ioredis";
import { keys } from "../store/keys.ts";

export class Control {
  readonly #redis: Redis;
  readonly #listeners = new Map<string, () => void>();

  /** `redis` is a connection of its own, which waits for Redis (maxRetriesPerRequest: null). */
  constructor(redis: Redis) {
    this.#redis = redis;
    this.#redis.on("message", (_channel, jobId) => this.#listeners.get(jobId)?.());
    this.#redis.subscribe(keys.control).catch(() => undefined);
  }

  listen(jobId: string, listener: () => void): void {
    this.#listeners.set(jobId, listener);
  }

  unlisten(jobId: string): void {
    this.#listeners.delete(jobId);
  }

  close(): void {
    this.#redis.disconnect();
  }
}
