import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { meters } from "../src/meters.ts";
import { loops, Retry, retry, retrying, type Loop } from "../src/retries.ts";

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

test("a failure is logged at once, then once a minute, and its end with its length; each is counted", async () => {
  const lines: Record<string, unknown>[] = [];
  const formatters = { level: (level: string) => ({ level }) };
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const attempts = new Retry("lock", pino({ formatters }, { write }));
  const clock = vi.spyOn(performance, "now");
  onTestFinished(() => clock.mockRestore());
  attempts.worked();
  for (const seconds of [0, 1, 59.9, 60, 61, 119.9, 120]) {
    clock.mockReturnValue(5000 + seconds * 1000);
    attempts.failed(new Error(`at ${seconds}`));
  }
  clock.mockReturnValue(5000 + 130_400);
  expect(retrying()).toEqual([{ loop: "lock", count: 1, failures: 7, seconds: 130 }]);
  attempts.worked();
  attempts.worked();
  const failed = { level: "warn", msg: "failed, trying again: renewing the lock on the data directory", retry: "lock" };
  expect(lines).toMatchObject([
    { ...failed, failures: 1, err: { message: "at 0" } },
    { ...failed, failures: 4, err: { message: "at 60" } },
    { ...failed, failures: 7, err: { message: "at 120" } },
    { level: "info", msg: "works again: renewing the lock on the data directory", failures: 7, seconds: 130 },
  ]);
  const { values } = await meters.retries.get();
  expect(values.find(({ labels }) => labels.loop === "lock")!.value).toBe(7);
  expect(attempts.failures).toBe(0);
  attempts.gaveUp();
});

test("loops of one name are listed together, with the longest failure", () => {
  const clock = vi.spyOn(performance, "now");
  onTestFinished(() => clock.mockRestore());
  const all = [0, 20, 10].map((seconds) => {
    clock.mockReturnValue(seconds * 1000);
    const each = new Retry("record", log);
    each.failed(new Error("away"));
    return each;
  });
  all[1].failed(new Error("away"));
  clock.mockReturnValue(30_000);
  expect(retrying()).toEqual([{ loop: "record", count: 3, failures: 4, seconds: 30 }]);
  for (const each of all) each.gaveUp();
});

test("a call is repeated after the wait that it asks for, until it works, fails otherwise or is not wanted", async () => {
  const asked: number[] = [];
  const stop = new AbortController();
  const options = (outcomes: (string | Error)[]) => ({
    call: async () => {
      const outcome = outcomes.shift()!;
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
    how: {
      loop: "dataset" as Loop,
      log,
      waitMs: (failures: number) => (asked.push(failures), 1),
      passes: (error: unknown) => (error as Error).message === "again",
      signal: stop.signal,
    },
  });
  const run = (...outcomes: (string | Error)[]) => {
    const { how, call } = options(outcomes);
    return retry(how, call);
  };
  expect(await run(new Error("again"), new Error("again"), "done")).toBe("done");
  expect(asked).toEqual([1, 2]);
  await expect(run(new Error("again"), new Error("broken"), "done")).rejects.toThrow("broken");
  stop.abort(new Error("not wanted"));
  await expect(run("done")).rejects.toThrow("not wanted");
  expect(retrying()).toEqual([]);
  expect(Object.keys(loops)).toContain("dataset");
});
