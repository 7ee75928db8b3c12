// Connections to a Redis, and what the service requires of it.
import { setTimeout as sleep } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { StartFailure } from "../start-failure.ts";
import { MIN_MAJOR } from "./server.ts";

const CONNECT_TIMEOUT_MS = 5000;
const RETRY_MS = 500;

/**
 * Makes connections to one Redis. They reconnect for ever, and log when it is away and when it is
 * back.
 */
export type Connect = (options?: RedisOptions) => Redis;

export function connector(url: string, log: Logger): Connect {
  return (options = {}) => {
    const attempts = new Retry("redis_connection", log);
    const redis = new Redis(url, { retryStrategy: (attempt) => Math.min(attempt * 50, RETRY_MS), ...options });
    redis.on("error", (error: Error) => attempts.failed(error));
    redis.on("ready", () => attempts.worked());
    // Overrides `disconnect`, because a connection that waits for its next attempt emits no event
    // when it ends.
    const disconnect = redis.disconnect.bind(redis);
    redis.disconnect = (reconnect = false) => {
      disconnect(reconnect);
      if (!reconnect) attempts.gaveUp();
    };
    return redis;
  };
}

export interface ServerFacts {
  readonly version: string;
  /** The server's `maxmemory`; null if it has no limit. */
  readonly maxBytes: number | null;
}

/**
 * Waits until the server answers and has loaded its data. Checks that it can be trusted with jobs.
 * @throws StartFailure if it is away, too old, or evicts keys.
 */
export async function checkServer(url: string, log: Logger): Promise<ServerFacts> {
  const name = nameOf(url);
  const redis = await reach(url, name);
  try {
    let info = await facts(redis);
    if (info.loading === "1") log.info("waiting for Redis to load its data");
    while (info.loading === "1") {
      await sleep(RETRY_MS);
      info = await facts(redis);
    }
    if (Number.parseInt(info.redis_version, 10) < MIN_MAJOR) {
      throw new StartFailure(
        `The Redis at ${name} (REDIS_URL) is ${info.redis_version} and Rappel needs ${MIN_MAJOR} or later: upgrade it, or leave REDIS_URL unset to have one started for you.`,
      );
    }
    if (info.maxmemory_policy !== "noeviction") {
      throw new StartFailure(
        `The Redis at ${name} (REDIS_URL) drops keys when it is full (maxmemory-policy is ${info.maxmemory_policy}), and jobs would be lost: set it with "redis-cli -u <REDIS_URL> config set maxmemory-policy noeviction", and in its configuration.`,
      );
    }
    if (info.aof_enabled === "0")
      log.warn("this Redis keeps no append-only file: its restart would lose recent changes");
    if (info.maxmemory === "0") log.warn("this Redis has no maxmemory: checkpoints may fill the machine's memory");
    return { version: info.redis_version, maxBytes: Number(info.maxmemory) || null };
  } finally {
    redis.disconnect();
  }
}

async function reach(url: string, name: string): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: null,
    retryStrategy: () => RETRY_MS,
  });
  let last = "no answer";
  redis.on("error", (error: Error) => (last = error.message));
  const deadline = sleep(CONNECT_TIMEOUT_MS, null, { ref: false });
  const answer = await Promise.race([redis.ping().catch((error: Error) => error), deadline]);
  if (answer === "PONG" || (answer instanceof Error && answer.message.startsWith("LOADING"))) return redis;
  redis.disconnect();
  throw new StartFailure(
    `No Redis can be used at ${name} (REDIS_URL): ${answer instanceof Error ? answer.message : last}.`,
  );
}

/** All sections of `INFO`, which is allowed everywhere, unlike `CONFIG`. */
async function facts(redis: Redis): Promise<Record<string, string>> {
  const lines = (await redis.info()).split("\r\n");
  return Object.fromEntries(lines.filter((line) => line.includes(":")).map((line) => line.split(/:(.*)/s).slice(0, 2)));
}

/** The address without its credentials. */
export function nameOf(url: string): string {
  return url.startsWith("/") ? url : new URL(url).host;
}
