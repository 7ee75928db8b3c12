// What most tests of the record begin with: a Redis of the file's own, emptied before each test,
// and a store on it.
import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { connected, openStore, OWNER } from "./support.ts";

export const MiB = 2 ** 20;

export let server: TestRedis;
/** A connection besides the store's. */
export let redis: Redis;
export let store: Store;

export function setUpStore(options: { maxBytes?: number } = {}): void {
  beforeAll(async () => {
    server = await startTestRedis(options);
    redis = await connected(server);
    store = await openStore(server);
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    await redis.flushall();
  });
}

/** What the owner takes of its limits. */
export function usage(): Promise<Record<string, string>> {
  return redis.hgetall(`{rappel}:owner:${OWNER}:usage`);
}

/** The blobs that were dropped, and are kept for downloads. */
export function loose(): Promise<string[]> {
  return redis.zrange("{rappel}:loose", "0", "-1");
}

/** As if ten minutes had passed. */
export async function expire(list: "loose" | "pending"): Promise<void> {
  for (const member of await redis.zrange(`{rappel}:${list}`, "0", "-1"))
    await redis.zadd(`{rappel}:${list}`, "1", member);
}

/** How many bytes can still be promised. */
export async function free(): Promise<number> {
  const { used, reserved, limit } = await store.overview.room();
  return limit! - used - reserved;
}
