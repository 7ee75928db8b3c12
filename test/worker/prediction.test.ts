// Kill a worker anywhere while it predicts from a dataset: the CSV has the same bytes.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ulid } from "ulid";
import type { BatchPrediction } from "../../src/contract/wire/batch-prediction.ts";
import { eventTypes, OWNER } from "../store/support.ts";
import { csv, ended, openPlace, sha256, type Place } from "./support.ts";

let place: Place;
let model: string;
let dataset: string;
let undisturbed: BatchPrediction["result"];

/** Ten blocks or so. */
const ROWS = 40_000;

beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  model = await place.post({ training: { epochs: 2, batch_size: 32 } });
  await place.until(model, ended);
  const [header, ...rows] = csv().trimEnd().split("\n");
  const lines = Array.from({ length: ROWS }, (_, i) => `${i}${rows[i % rows.length].slice(1)}`);
  dataset = await place.upload(Readable.from([[header, ...lines].join("\n")]));
  undisturbed = (await outcome(await predict())).result;
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

async function predict(): Promise<string> {
  const { store, wakeUps } = place;
  const id = `pred_${ulid().toLowerCase()}`;
  const asked = {
    job_id: model,
    datasets: [dataset],
    idempotency: null,
    split: null,
    which: "final" as const,
    fold: null,
    seed: null,
    unseen: "error" as const,
    trace: null,
  };
  const sizes = { rows: ROWS, resultBytes: 2 ** 24, weights_sha256: "0".repeat(64) };
  const created = await store.predictions.create({ id, owner: OWNER, ...asked, ...sizes });
  if (created.outcome !== "created") throw new Error(created.outcome);
  if (created.wake) await wakeUps.add();
  return id;
}

const get = async (id: string) => (await place.store.predictions.get(OWNER, id))!;

async function until(id: string, condition: (prediction: BatchPrediction) => boolean): Promise<BatchPrediction> {
  for (;;) {
    const prediction = await get(id);
    if (condition(prediction)) return prediction;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const outcome = (id: string) => until(id, ({ finished_at }) => finished_at !== null);

const files = () => readdirSync(place.directory);

async function expectUndisturbed(id: string, run: number): Promise<void> {
  const prediction = await outcome(id);
  expect(prediction).toMatchObject({ status: "succeeded", run, result: undisturbed });
  expect(sha256(readFileSync(join(place.directory, `${id}.result`)))).toBe(undisturbed!.sha256);
  expect((await place.store.datasets.room(OWNER)).used).toBeGreaterThan(undisturbed!.bytes);
}

test.each(["after-claim", "mid-prediction:7", "after-keep-result"])("a worker dies at %s", async (point) => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
  const id = await predict();
  expect(await dying.exited).toBe("SIGKILL");
  expect((await get(id)).status).toBe("running");
  await place.startWorker();
  await expectUndisturbed(id, 2);
  expect((await eventTypes(place.store, id)).slice(-3)).toEqual(["lease_lost", "resumed", "succeeded"]);
});

test("a worker dies after the end", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "after-final-commit" });
  const id = await predict();
  expect(await dying.exited).toBe("SIGKILL");
  await expectUndisturbed(id, 1);
});

test("a worker that shuts down gives it back", async () => {
  const leaving = await place.startWorker();
  const id = await predict();
  await until(id, ({ progress }) => progress.rows > 0);
  leaving.kill("SIGTERM");
  expect(await leaving.exited).toBe(0);
  expect(["queued", "succeeded"]).toContain((await get(id)).status);
  await place.startWorker();
  const { run } = await outcome(id);
  await expectUndisturbed(id, run);
});

test("one that runs is cancelled, and leaves nothing behind", async () => {
  const { store } = place;
  const before = (await store.datasets.room(OWNER)).used;
  await place.startWorker();
  const id = await predict();
  await until(id, ({ status }) => status === "running");
  await store.predictions.cancel(OWNER, id);
  expect((await outcome(id)).status).toBe("cancelled");
  expect((await store.datasets.room(OWNER)).used).toBe(before);
  // The run removes what it wrote after it has said that it was cancelled.
  await expect.poll(() => files().filter((name) => name.startsWith(id))).toEqual([]);
  expect(await store.withoutResult([id])).toEqual([id]);
});

test("five workers in a row that die of it end it", async () => {
  const id = await predict();
  for (let death = 0; death < 5; death++) {
    const dying = await place.startWorker({ RAPPEL_CRASH_AT: "mid-prediction" });
    expect(await dying.exited).toBe("SIGKILL");
  }
  await place.startWorker();
  const { status, error } = await outcome(id);
  expect([status, error]).toEqual(["failed", expect.objectContaining({ code: "crash_loop" })]);
  expect(error!.message).toMatch(/^5 runs in a row died, the last one after row \d+\.$/);
});
