// What the commands that only show something print, word for word, and what is said after an error.
import { expect, test } from "vitest";
import { hintOn, hintOnReading } from "../../src/cli/hints.ts";
import { datasets, diagnosis, events, jobs, metrics, show, status, summary } from "../../src/cli/inspect.ts";
import type { Client } from "../../src/client/client.ts";
import { RequestRefused, ServiceUnreachable } from "../../src/client/errors.ts";

/** A client that answers each call with this document. */
function answering(document: unknown): Client {
  return new Proxy({} as Client, { get: () => async () => document });
}

const at = "2026-01-02T03:04:05.678Z";
const progress = { step: 19, total_steps: 25, progress: 0.767, train_loss: 0.123456, metrics: {} };
const job = {
  id: "job_1",
  status: "running",
  name: null,
  created_at: at,
  started_at: null,
  finished_at: null,
  parent: null,
  spec: { data: {}, optimizer: { type: "adam" } },
  progress,
  result: null,
  error: null,
};

test("a job is shown with what is known of it", async () => {
  expect((await show(answering(job), "job_1")).text.split("\n")).toEqual([
    "job_1  running",
    `  created         ${at}`,
    "  optimizer       adam",
    "  step            19/25 (76 %)",
    "  train_loss      0.1235",
  ]);
  const whole = {
    ...job,
    name: "digits",
    status: "failed",
    started_at: "2026-01-02T03:04:06.000Z",
    finished_at: "2026-01-02T03:04:07.000Z",
    parent: { job_id: "job_0", step: 7 },
    spec: { data: { dataset: "ds_1" }, optimizer: { type: "sgd" } },
    progress: { ...progress, train_loss: null, metrics: { valid_loss: 2, valid_r2: null } },
    result: { weights_sha256: "ab12" },
    error: { message: "It broke.", suggestion: "Try again." },
  };
  const { text, value } = await show(answering(whole), "job_1");
  expect(value).toBe(whole);
  expect(text.split("\n")).toEqual([
    "job_1  failed  digits",
    `  created         ${at}`,
    "  started         2026-01-02T03:04:06.000Z",
    "  finished        2026-01-02T03:04:07.000Z",
    "  dataset         ds_1",
    "  optimizer       sgd",
    "  forked from     job_0 at step 7",
    "  step            19/25 (76 %)",
    "  valid_loss      2.000",
    "  weights_sha256  ab12",
    "  error           It broke.",
    "  remedy          Try again.",
  ]);
});

test.each([
  [{ status: "cancelled" }, "job_1 cancelled"],
  [{ status: "failed", error: { message: "It broke.", suggestion: null } }, "job_1 failed: It broke."],
  [
    { status: "failed", error: { message: "It broke.", suggestion: "Try again." } },
    "job_1 failed: It broke.\n  Try again.",
  ],
  [
    {
      status: "succeeded",
      result: { steps: 25, metrics: { valid_loss: 0.5, valid_r2: null }, weights_sha256: "ab12" },
    },
    "job_1 succeeded after 25 steps\n  valid_loss 0.5000\n  valid_r2 –\n  weights_sha256 ab12",
  ],
])("the end of a job is summed up: %j", (end, text) => {
  expect(summary({ ...job, ...end } as never)).toBe(text);
});

test("lists have a line for each item, and say how to go on", async () => {
  const page = (data: object[], next: string | null = null) => answering({ data, has_more: next !== null, next });
  const listed = { ...job, progress: { progress: 0.05 } };
  expect((await jobs(page([listed, { ...listed, name: "digits" }]), {})).text).toBe(
    `job_1  running       5 %  ${at}\njob_1  running       5 %  ${at}  digits`,
  );
  expect((await jobs(page([listed], "job_1"), {})).text).toMatch(/\n… and more: --after job_1$/);
  const dataset = (bytes: number, name: string | null) => ({
    id: "ds_1",
    rows: 4,
    columns: ["x", "y"],
    bytes,
    created_at: at,
    name,
  });
  const sizes = [0, 1023, 1024, 1_300_000, 3 * 2 ** 30, 2 ** 60];
  expect((await datasets(page(sizes.map((bytes) => dataset(bytes, null))), {})).text.split("\n")).toEqual(
    ["0 bytes", "1020 bytes", "1 KiB", "1.24 MiB", "3 GiB", "1050000 TiB"].map(
      (size) => `ds_1  4 rows  2 columns  ${size}  ${at}`,
    ),
  );
  expect((await datasets(page([dataset(1, "iris")]), {})).text).toMatch(/ {2}iris$/);
  const event = { id: "3", created_at: at, run: 2, type: "resumed", message: "Resumed." };
  expect((await events(page([event]), "job_1", {})).text).toBe(`3  ${at}  run 2  resumed  Resumed.`);
  expect((await jobs(page([]), {})).text).toBe("There are no jobs.");
  expect((await datasets(page([]), {})).text).toBe("There are no datasets.");
  expect((await events(page([]), "job_1", {})).text).toBe("There are no further events.");
});

test("curves of different steps are one table, in the order of the steps", async () => {
  const series = {
    valid_loss: { steps: [2, 4], values: [0.5, null] },
    train_loss: { steps: [1, 2, 3], values: [3, 2, 1] },
  };
  const options = { points: 10 };
  expect((await metrics(answering({ series }), "job_1", options)).text.split("\n")).toEqual([
    "step\tvalid_loss\ttrain_loss",
    "1\t\t3",
    "2\t0.5\t2",
    "3\t\t1",
    "4\t\t",
  ]);
  for (const chart of [false, true]) {
    const empty = await metrics(answering({ series: {} }), "job_1", { ...options, chart });
    expect(empty.text).toBe("There are no metrics yet.");
  }
});

test("a diagnosis has its summary, then each finding with its remedy", async () => {
  const found = { step: 7, detector: "plateau", message: "It stays.", remedy: "Raise lr." };
  const { text } = await diagnosis(answering({ summary: "One thing.", findings: [found] }), "job_1");
  expect(text).toBe("One thing.\nstep 7, plateau: It stays.\n  Raise lr.");
});

test("the service is shown with its queue, its store and its workers", async () => {
  const quiet = {
    workers: [],
    jobs: { queued: 0, running: 0, failed: 0 },
    queue: { waiting: 0, active: 3, delayed: 0, oldest_seconds: null },
    store: { used_bytes: 1024, reserved_bytes: 0, limit_bytes: null, full: false },
  };
  expect((await status(answering(quiet))).text.split("\n")).toEqual([
    "jobs     none",
    "queue    0 wait",
    "store    1 KiB taken",
    "worker   none",
  ]);
  const worker = { host: "a", pid: 5, threads: { busy: 1, total: 4 }, jobs: { running: 2, max: 3 }, draining: false };
  const busy = {
    workers: [worker, { ...worker, host: "b", draining: true }],
    jobs: { queued: 2, running: 1, failed: 0 },
    queue: { waiting: 2, active: 3, delayed: 1, oldest_seconds: 61.6 },
    store: { used_bytes: 2048, reserved_bytes: 1024, limit_bytes: 2 ** 20, full: true },
  };
  expect((await status(answering(busy))).text.split("\n")).toEqual([
    "jobs     2 queued, 1 running",
    "queue    3 wait, the oldest for 62 s",
    "store    3 KiB taken of 1 MiB, full",
    "worker   a (process 5)  2 of 3 jobs  1 of 4 threads",
    "worker   b (process 5)  2 of 3 jobs  1 of 4 threads, draining",
  ]);
});

const refused = (status: number, detail: string, pointers: string[] = []) =>
  new RequestRefused(detail, status, { detail, errors: pointers.map((pointer) => ({ pointer })) } as never);

test.each([
  [new ServiceUnreachable("http://h", new Error("no")), "Start one with npm start, or name another with --url."],
  [new Error("There is no such job."), null],
  [refused(401, "This API key is not known."), "Give the key with --key, or in RAPPEL_API_KEY."],
  [refused(403, "Not for you."), null],
  [refused(404, "There is no such job."), "rappel jobs lists yours."],
  [refused(404, "There is no such dataset."), "rappel datasets lists yours."],
  [refused(404, "There is no such checkpoint."), null],
  [refused(422, "x", ["/model", "/data/dataset"]), "--data <file> uploads a table, and puts its id there."],
  [refused(422, "x", ["/data"]), null],
  [refused(422, "?separator=tab helps."), "Here that is --read separator=tab."],
])("after an error the user is told what helps: %#", (error, hint) => {
  expect(hintOn(error)).toBe(hint);
});

test.each([
  ["Nothing of the kind.", null],
  ["Use ?comment=%23.", "Here that is --read 'comment=#'."],
  ["Use ?separator=tab or ?header=false.", "Here that is --read separator=tab or --read header=false."],
  ["Use ?decimal=, or again ?decimal=, here.", "Here that is --read decimal=,."],
  ['Use ?columns={"a b":"text"}.', `Here that is --read 'columns={"a b":"text"}'.`],
  ['Use ?missing_values=["?"].', `Here that is --read 'missing_values=["?"]'.`],
])("a way to read a table is told as the command line takes it: %s", (message, hint) => {
  expect(hintOnReading(message)).toBe(hint);
});
