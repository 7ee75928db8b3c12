/**
 * Tells the followers of a job that something is new. A process has one connection for all
 * followers: it subscribes to a channel for each job that somebody follows.
 *
 * A message says that there is news, but not what it is: the follower reads the record. So a lost
 * message loses nothing, as long as everybody reads the record again whenever the subscription
 * begins or is renewed. A watch of a channel that is subscribed to already has news at once.
 *
 * A subscription outlives its last follower a little: whoever polls a job is back soon.
 */
import type { Redis } from "ioredis";
import { keys } from "../store/keys.ts";

/** How many channels one command subscribes to. There may be as many channels as followers. */
const CHANNELS_AT_ONCE = 1000;
/** How often the subscriptions end that nobody needs any more. */
const LEAVE_MS = 1000;

/** `event`: the list has a new event. `progress`: anything else in the document changed. */
export type Kind = "event" | "progress";

export class News {
  readonly #redis: Redis;
  /** The followers, by channel. */
  readonly #watches = new Map<string, Set<Watch>>();
  /** The channels that nobody follows any more. */
  readonly #left = new Set<string>();
  #leaving: NodeJS.Timeout | null = null;
  /** How many messages this process has got. */
  #count = 0;

  /**
   * `redis` must be a separate connection that waits for Redis (maxRetriesPerRequest: null).
   * `close` closes it.
   */
  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on("message", (channel: string, kind: Kind) => {
      this.#tell([channel], kind);
    });
    redis.on("ready", () => this.#subscribe([...this.#watches.keys()]));
  }

  /** Begins to follow a job. The caller must close the watch. */
  watch(jobId: string, kinds: readonly Kind[]): Watch {
    const channel = keys.news(jobId);
    const known = this.#watches.get(channel);
    const watches = known ?? new Set();
    const watch: Watch = new Watch(kinds, () => {
      if (watches.delete(watch) && watches.size === 0) this.#leave(channel);
    });
    watches.add(watch);
    if (known === undefined) {
      this.#watches.set(channel, watches);
      this.#subscribe([channel]);
    } else {
      this.#left.delete(channel);
      watch.tell(this.#count);
    }
    return watch;
  }

  close(): void {
    clearTimeout(this.#leaving ?? undefined);
    this.#redis.disconnect();
  }

  #subscribe(channels: string[]): void {
    if (channels.length === 0 || this.#redis.status !== "ready") return;
    for (let i = 0; i < channels.length; i += CHANNELS_AT_ONCE) {
      const some = channels.slice(i, i + CHANNELS_AT_ONCE);
      // If it fails, the connection is lost, and the subscription is repeated when it is back.
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

  #leave(channel: string): void {
    this.#left.add(channel);
    this.#leaving ??= setTimeout(() => this.#unsubscribe(), LEAVE_MS).unref();
  }

  #unsubscribe(): void {
    this.#leaving = null;
    const channels = [...this.#left];
    this.#left.clear();
    for (const channel of channels) this.#watches.delete(channel);
    for (let i = 0; i < channels.length; i += CHANNELS_AT_ONCE) {
      // If it fails, the connection is lost, and the subscription with it.
      this.#redis.unsubscribe(...channels.slice(i, i + CHANNELS_AT_ONCE)).catch(() => undefined);
    }
  }
}

/** One follower of one job. */
export class Watch {
  readonly close: () => void;
  /**
   * The number of the latest message that concerned it. Watches with the same number know the
   * same.
   */
  latest = 0;
  readonly #kinds: readonly Kind[];
  #news = false;
  #wake = () => {};

  constructor(kinds: readonly Kind[], close: () => void) {
    this.#kinds = kinds;
    this.close = close;
  }

  /** Without a kind there may be news of any kind. */
  tell(number: number, kind?: Kind): void {
    if (kind !== undefined && !this.#kinds.includes(kind)) return;
    this.latest = number;
    this.#news = true;
    this.#wake();
  }

  /**
   * Waits for news since the last call, for `ms`, or until `signal` aborts. Resolves to whether
   * there is news.
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
