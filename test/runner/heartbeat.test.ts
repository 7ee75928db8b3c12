import { once } from "node:events";
import { pino } from "pino";
import type { RedisOptions } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Heartbeat } from "../../src/runner/heartbeat.ts";
import { storeConnection } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { acquire, connected, lapse, openStore, postJob } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

/** A heartbeat of a job over its own connection, and what it tells its handlers. */
async function beating(connection: RedisOptions, { leaseMs = 1000, status = (): unknown => null } = {}) {
  const id = await postJob(await openStore(server));
  const redis = server.client(connection);
  if (redis.status !== "ready") await once(redis, "ready");
  const lease = await acquire(new Store(redis), id, { leaseMs: 60_000 });
  const heard: string[] = [];
  const handlers = {
    status: () => void status(),
    away: () => void heard.push("away"),
    back: () => void heard.push("back"),
    lost: (silenced: boolean) => void heard.push(silenced ? "lost in silence" : "lost"),
    broken: () => void heard.push("broken"),
  };
  const log = pino({ level: "silent" });
  const blame = () => "own" as const;
  const heartbeat = new Heartbeat(lease, leaseMs, blame, handlers, log);
  onTestFinished(() => heartbeat.close());
  return { id, redis, heard, heartbeat };
}

test("a renewal that is requested during another is made after it", async () => {
  let answers = 0;
  // By itself it beats only every 15 seconds.
  const { heartbeat } = await beating(storeConnection, { leaseMs: 60_000, status: () => answers++ });
  heartbeat.renewNow();
  heartbeat.renewNow();
  await expect.poll(() => answers).toBe(2);
});

async function takeOver(id: string): Promise<void> {
  await lapse(await connected(server), id);
  await acquire(await openStore(server), id);
}

test("a run hears that Redis is away if it neither answers nor refuses, and that it is back", async () => {
  // A connection that waits for an answer without a limit.
  const { heard } = await beating({ maxRetriesPerRequest: null });
  server.kill("SIGSTOP");
  try {
    await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away"]);
  } finally {
    server.kill("SIGCONT");
  }
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away", "back"]);
});

test("a run hears each time that Redis is away, and each time that it is back", async () => {
  let answers = 0;
  const { redis, heard } = await beating(storeConnection, { status: () => answers++ });
  for (let outage = 0; outage < 2; outage++) {
    const before = heard.length;
    redis.disconnect();
    await expect.poll(() => heard.slice(before), { timeout: 20_000 }).toEqual(["away"]);
    await redis.connect();
    const answered = answers;
    await expect.poll(() => answers, { timeout: 20_000 }).toBeGreaterThan(answered + 2);
    expect(heard.slice(before)).toEqual(["away", "back"]);
  }
});

test("a run that lost its lease while Redis was away hears that Redis was away", async () => {
  const { id, redis, heard } = await beating(storeConnection);
  redis.disconnect();
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away"]);
  await takeOver(id);
  await redis.connect();
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away", "lost in silence"]);
});

test("a run that lost its lease while Redis answered hears that Redis was not away", async () => {
  const { id, heard } = await beating(storeConnection);
  await takeOver(id);
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["lost"]);
});

test("a run hears of an error that would come again, once", async () => {
  const { id, heard, heartbeat } = await beating(storeConnection);
  const redis = await connected(server);
  await redis.set(`{rappel}:owner:default:job:${id}`, "no record");
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["broken"]);
  heartbeat.renewNow();
  await redis.ping();
  expect(heard).toEqual(["broken"]);
});
