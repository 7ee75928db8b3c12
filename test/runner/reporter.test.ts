import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Reporter } from "../../src/runner/reporter.ts";
import { retrying } from "../../src/retries.ts";
import { Store } from "../../src/store/store.ts";
import { acquire, connected, eventTypes, metricRows, OWNER, postJob, progressAt, row } from "../store/support.ts";
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
  const job = `{rappel}:owner:${OWNER}:job:${id}`;
  return {
    reporter,
    lease,
    redis,
    job,
    reports,
    rows: () => metricRows(store, OWNER, id),
    types: () => eventTypes(store, id),
  };
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

test("rows are written whole and once, however they come: late, in many reports, or lost by Redis", async () => {
  const { reporter, redis, rows, job } = await reporting();
  const all = Array.from({ length: 900 }, (_, i) => row(i + 1));
  const late = { step: 400, valid_loss: 0.5 };
  for (let at = 0; at < all.length; at += 90) {
    reporter.metrics(all.slice(at, at + 90));
    await reporter.flush(life);
    // The log of a crew is read before its messages.
    if (at === 450) reporter.metrics([late]);
  }
  const expected = [...all.slice(0, 400), late, ...all.slice(400)];
  expect(await rows()).toEqual(expected);
  // As a crash of a Redis that writes to disk once a second.
  await redis.rpop(`${job}:rows`, 2);
  expect((await rows())!.length).toBeLessThan(expected.length - 10);
  reporter.metrics([row(901)]);
  await reporter.flush(life);
  expect(await rows()).toEqual([...expected, row(901)]);
});

test("rows that a rewind took back are not written again, and those that are computed again are there once", async () => {
  const { reporter, rows, lease } = await reporting();
  reporter.metrics([1, 2, 3].map(row));
  await reporter.rewind(life);
  await lease.rewind(2, [], { type: "rewound", message: "Back.", step: 2, data: null });
  expect(await rows()).toEqual([1, 2].map(row));
  reporter.metrics([1, 2, 4].map(row));
  await reporter.flush(life);
  expect(await rows()).toEqual([1, 2, 4].map(row));
});

test("a report that was not acknowledged is sent again before the last write", async () => {
  const { reporter, types } = await reporting();
  redis.disconnect();
  reporter.event("evaluated", "Evaluated.", 1);
  await expect.poll(() => retrying().map(({ loop }) => loop), { timeout: 10_000 }).toContain("report");
  reporter.stop();
  await redis.connect();
  reporter.event("diagnosed", "Diagnosed.", 1);
  expect(await reporter.close(life)).toEqual([]);
  expect(await types()).toEqual(["created", "started", "evaluated", "diagnosed"]);
});

test("what waits when a reporter is closed is left to the last write", async () => {
  const closed = await reporting();
  const other = await reporting();
  closed.reporter.event("evaluated", "Evaluated.", 1);
  expect(await closed.reporter.close(life)).toHaveLength(1);
  // The other one's timer goes on meanwhile, at the same interval.
  for (const count of ["1", "2", "3"]) {
    other.reporter.event("evaluated", "Evaluated.", 1);
    await expect.poll(() => other.reports(), { timeout: 10_000 }).toBe(count);
  }
  expect(await closed.types()).toEqual(["created", "started"]);
});
