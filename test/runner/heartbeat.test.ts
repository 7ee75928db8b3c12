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

/** A heart that beats for a job over a connection of its own, and what it says. */
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
  const heartbeat = new Heartbeat(lease, leaseMs, blame, () => Promise.resolve(), handlers, log);
  onTestFinished(() => heartbeat.close());
  return { id, redis, heard, heartbeat };
}

test("who asks what is wanted while an answer is on its way is answered anew", async () => {
  let answers = 0;
  // It beats by itself only every quarter of a minute.
  const { heartbeat } = await beating(storeConnection, { leaseMs: 60_000, status: () => answers++ });
  heartbeat.renewNow();
  heartbeat.renewNow();
  await expect.poll(() => answers).toBe(2);
});

async function takeOver(id: string): Promise<void> {
  await lapse(await connected(server), id);
  await acquire(await openStore(server), id);
}

test("a run whose lease may have lapsed, since Redis neither answers nor refuses, is told so, and when it is back", async () => {
  // A connection that waits for an answer for as long as it takes.
  const { heard } = await beating({ maxRetriesPerRequest: null });
  server.kill("SIGSTOP");
  try {
    await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away"]);
  } finally {
    server.kill("SIGCONT");
  }
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away", "back"]);
});

test("a run is told each time that Redis is away, and once each time that it is back", async () => {
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

test("a run that lost its lease while Redis was away is told that too", async () => {
  const { id, redis, heard } = await beating(storeConnection);
  redis.disconnect();
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away"]);
  await takeOver(id);
  await redis.connect();
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["away", "lost in silence"]);
});

test("a run that lost its lease while Redis answered all the time stood still itself", async () => {
  const { id, heard } = await beating(storeConnection);
  await takeOver(id);
  await expect.poll(() => heard, { timeout: 20_000 }).toEqual(["lost"]);
});
