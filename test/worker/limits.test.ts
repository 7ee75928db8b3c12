import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { MetricRow } from "../../src/store/record.ts";
import { metricRows, OWNER } from "../store/support.ts";
import { ended, openPlace, type Place } from "./support.ts";

/** Jobs at the limits of the spec. Each is the cheapest that reaches its limit. */

let place: Place;
let small: string;
beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  const rows = Array.from({ length: 60 }, (_, i) => `${Math.sin(i)},${Math.cos(i * 0.7)},${i % 3 === 0 ? "a" : "b"}`);
  small = await place.upload(Readable.from([`x0,x1,y\n${rows.join("\n")}\n`]));
});
afterAll(() => place.close());

const EPOCHS = 100_000;

/** One step an epoch. */
function tiny(changes: Record<string, unknown> = {}) {
  return {
    data: { dataset: small, target: "y", validation: { every: 5 } },
    model: { layers: [{ type: "linear" }] },
    optimizer: { type: "sgd", lr: 0.001 },
    training: { epochs: EPOCHS, batch_size: "full", seed: 1, log_every_steps: 1 },
    checkpoint: { every_seconds: null },
    ...changes,
  };
}

async function succeeded(id: string) {
  const job = await place.until(id, ended, 120_000);
  expect(job).toMatchObject({ status: "succeeded", run: 1, error: null });
  expect(job.result!.steps).toBe(job.progress.total_steps);
  return (await metricRows(place.store, OWNER, id))!;
}

const stepsOf = (rows: MetricRow[], name: string) => rows.filter((row) => name in row).map(({ step }) => step);

test("a job may have 100,000 epochs and as many points in every series, and write them all at its end", async () => {
  const id = await place.post(tiny({ observe: { every_steps: 1 } }));
  const rows = await succeeded(id);
  const all = Array.from({ length: EPOCHS }, (_, i) => i + 1);
  for (const name of ["train_loss", "valid_loss", "valid_accuracy", "update_ratio"]) {
    expect(stepsOf(rows, name), name).toEqual(all);
  }
  const { data } = (await place.store.jobs.events(OWNER, id, { limit: 2000 }))!;
  expect(data.filter(({ type }) => type === "evaluated")).toHaveLength(1000);
}, 180_000);

test("20,000 epochs of a few steps each end, and so do 30,000 steps of plain SGD", async () => {
  const layers = [{ type: "linear", out_features: 4 }, { type: "relu" }, { type: "linear" }];
  const moons = tiny({
    model: { layers },
    optimizer: { type: "adam" },
    training: { epochs: 20_000, batch_size: 16, seed: 1 },
  });
  const plain = tiny({ training: { epochs: 30_000, batch_size: "full", seed: 1 } });
  const ids = [await place.post(moons), await place.post(plain)];
  const rows = [await succeeded(ids[0]), await succeeded(ids[1])];
  expect(rows.map((found) => stepsOf(found, "valid_loss").length)).toEqual([20_000, 30_000]);
}, 180_000);

test("a checkpoint is due every few steps as long as a job may last", async () => {
  const id = await place.post(tiny({ checkpoint: { every_steps: 5, every_seconds: null, keep_best: true } }));
  const rows = await succeeded(id);
  expect(stepsOf(rows, "train_loss")).toHaveLength(EPOCHS);
  expect(stepsOf(rows, "valid_loss")).toHaveLength(EPOCHS);
}, 180_000);
