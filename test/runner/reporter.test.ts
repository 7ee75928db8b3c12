import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Reporter } from "../../src/runner/reporter.ts";
import { retrying } from "../../src/retries.ts";
import { Store } from "../../src/store/store.ts";
import { acquire, connected, eventTypes, OWNER, postJob, progressAt, row } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let server: TestRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startTestRedis();
  redis = await connected(server);
});
afterAll(() => server.stop());

const life = { gone: new AbortController().signal, log: pino({ level: "silent" }) };

/** A reporter of a run that stays at one step, and a count of the written reports. */
async function reporting() {
  const store = new Store(redis);
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const reporter = new Reporter(
    lease,
    () => progressAt(1),
    life.log,
    (error) => expect.fail(String(error)),
  );
  onTestFinished(() => reporter.stop());
  const reports = () => redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "reported");
  return { reporter, reports, types: () => eventTypes(store, id) };
}

test("nothing is reported again as long as nothing is new", async () => {
  const { reporter, reports } = await reporting();
  await reporter.flush(life);
  await reporter.flush(life);
  expect(await reports()).toBe("1");
  reporter.metrics([row(1)]);
  await reporter.flush(life);
  expect(await reports()).toBe("2");
});

test("rows that a rewind took back are in no later checkpoint", async () => {
  const { reporter } = await reporting();
  reporter.metrics([1, 2, 3].map(row));
  await reporter.rewind(2, life);
  reporter.metrics([row(4)]);
  expect(reporter.rowsUpTo(9)).toEqual([1, 2, 4].map(row));
  expect(reporter.rowsUpTo(2)).toEqual([1, 2].map(row));
});

test("a report that was not acknowledged is sent again before the last write", async () => {
  const { reporter, types } = await reporting();
  redis.disconnect();
  reporter.event("evaluated", "Evaluated.", 1);
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("report");
  reporter.stop();
  await redis.connect();
  reporter.event("diagnosed", "Diagnosed.", 1);
  expect((await reporter.close(life)).events).toEqual([]);
  expect(await types()).toEqual(["created", "started", "evaluated", "diagnosed"]);
});

test("what waits when a reporter is closed is left to the last write", async () => {
  const closed = await reporting();
  const other = await reporting();
  closed.reporter.event("evaluated", "Evaluated.", 1);
  expect((await closed.reporter.close(life)).events).toHaveLength(1);
  // The other one's timer goes on meanwhile, at the same interval.
  for (const count of ["1", "2", "3"]) {
    other.reporter.event("evaluated", "Evaluated.", 1);
    await expect.poll(() => other.reports(), { timeout: 10_000 }).toBe(count);
  }
  expect(await closed.types()).toEqual(["created", "started"]);
});
