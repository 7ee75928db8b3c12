import { pino } from "pino";
import { expect, test } from "vitest";
import { Retry, retrying } from "../src/retries.ts";

const log = pino({ level: "silent" });

test("a failing loop is listed until it works, and one that was given up is not listed again", () => {
  const [lease, report] = [new Retry("heartbeat", log), new Retry("report", log)];
  lease.failed(new Error("away"));
  lease.failed(new Error("away"));
  report.failed(new Error("away"));
  expect(retrying()).toMatchObject([
    { loop: "heartbeat", count: 1, failures: 2 },
    { loop: "report", count: 1, failures: 1 },
  ]);
  report.worked();
  lease.gaveUp();
  expect(retrying()).toEqual([]);
  // The last attempt may fail after that: a run ends while Redis does not answer.
  lease.failed(new Error("away"));
  report.failed(new Error("away"));
  expect(retrying()).toMatchObject([{ loop: "report", failures: 1 }]);
  report.gaveUp();
});

test("the loop that has failed for longest is listed first", async () => {
  const [first, second] = [new Retry("presence", log), new Retry("dataset", log)];
  first.failed(new Error("away"));
  await expect.poll(() => retrying()[0].seconds, { timeout: 10_000 }).toBeGreaterThan(0);
  second.failed(new Error("away"));
  expect(retrying().map(({ loop }) => loop)).toEqual(["presence", "dataset"]);
  for (const each of [first, second]) each.gaveUp();
});

test("the time of failure counts from the first failure in a row", () => {
  const attempts = new Retry("dataset", log);
  attempts.failed(new Error("no"));
  const first = attempts.since;
  attempts.failed(new Error("no"));
  expect(attempts.since).toBe(first);
  attempts.worked();
  attempts.failed(new Error("no"));
  expect(attempts.since).toBeGreaterThan(first);
  attempts.gaveUp();
});
