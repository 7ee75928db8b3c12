/**
 * Tells whoever follows a job that there is something new. A process has one connection for that,
 * however many follow: it subscribes to a channel for each job that somebody follows.
 *
 * A message says that there is news and not what it is: who follows reads the record. So nothing is
 * lost with a message, as long as everybody looks again when the subscription is there (anew).
 */
import type { Redis } from "ioredis";
import { keys } from "../store/keys.ts";

/** Subscribed to by one command; there may be as many as followers. */
const CHANNELS_AT_ONCE = 1000;

/** `event`: one more in the list. `progress`: the document changed otherwise. */
export type Kind = "event" | "progress";

export class News {
  readonly #redis: Redis;
  /** By channel. */
  readonly #watches = new Map<string, Set<Watch>>();
  /** How often this process has been told of news. */
  #count = 0;

  /**
   * `redis` is a connection of its own, which waits for Redis (maxRetriesPerRequest: null); closed
   * by `close`.
   */
  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on("message", (channel: string, kind: Kind) => {
      this.#tell([channel], kind);
    });
    redis.on("ready", () => this.#subscribe([...this.#watches.keys()]));
  }

  /** To be closed. */
  watch(jobId: string, kinds: readonly Kind[]): Watch {
    const channel = keys.news(jobId);
    const watches = this.#watches.get(channel) ?? new Set();
    const watch: Watch = new Watch(kinds, () => {
      if (watches.delete(watch) && watches.size === 0) this.#drop(channel);
    });
    watches.add(watch);
    if (watches.size === 1) {
      this.#watches.set(channel, watches);
      this.#subscribe([channel]);
    }
    return watch;
  }

  close(): void {
    this.#redis.disconnect();
  }

  #subscribe(channels: string[]): void {
    if (channels.length === 0 || this.#redis.status !== "ready") return;
    for (let i = 0; i < channels.length; i += CHANNELS_AT_ONCE) {
      const some = channels.slice(i, i + CHANNELS_AT_ONCE);
      // If it fails the connection is gone, and this is done again when it is back.
      this.#redis.subscribe(...some).then(
        () => this.#tell(some),
        () => undefined,
      );
    }
  }

  #tell(channels: readonly string[], kind?: Kind): void {
    this.#count++;
    for (const channel of channels) for (const watch of this.#watches.get(channel) ?? []) watch.tell(this.#count, kind);
  }

  #drop(channel: string): void {
    this.#watches.delete(channel);
    this.#redis.unsubscribe(channel).catch(() => undefined);
  }
}

/** One follower of one job. */
export class Watch {
  readonly close: () => void;
  /** The number of the latest news that it was told of; those who have the same know the same. */
  latest = 0;
  readonly #kinds: readonly Kind[];
  #news = false;
  #wake = () => {};

  constructor(kinds: readonly Kind[], close: () => void) {
    this.#kinds = kinds;
    this.close = close;
  }

  /** Without a kind: there may be news of any. */
  tell(number: number, kind?: Kind): void {
    if (kind !== undefined && !this.#kinds.includes(kind)) return;
    this.latest = number;
    this.#news = true;
    this.#wake();
  }

  /**
   * Resolves when there is news since it last resolved, or after `ms`, or when `signal` aborts; to
   * whether there is news.
   */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.#news && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = () => resolve();
      const timer = setTimeout(this.#wake, ms);
      signal.addEventListener("abort", this.#wake);
      await promise;
      clearTimeout(timer);
      signal.removeEventListener("abort", this.#wake);
    }
    const news = this.#news;
    this.#news = false;
    return news;
  }
}
