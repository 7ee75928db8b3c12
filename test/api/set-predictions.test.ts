// Predictions of sets over whole datasets, and those of each row by the model that did not train on
// it.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BatchPrediction } from "../../src/contract/wire/batch-prediction.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { startProcess } from "../worker/support.ts";
import { openSetEnds } from "./service.ts";
import { csvOf, linear, startTraining, type Row } from "./trained.ts";

let place: Awaited<ReturnType<typeof startTraining>>;
let setEnds: SetEnds;
let dataset: string;

/** Rows of the keys take turns, so that the rows of no key stand side by side. */
const ROWS = Array.from({ length: 120 }, (_, i) => ({
  store: ["a", "b", "Ü 1"][i % 3],
  day: ["2024-01-31", "2024-02-01"][(i >> 2) % 2],
  open: ["yes", "no"][(i >> 3) % 2],
  x: Math.round(1e4 * Math.sin(i)) / 1e4,
  colour: ["red", "green", "blue"][(i * 7 + (i >> 3)) % 3],
  label: ["cat", "dog"][(i * 11 + (i >> 2)) % 2],
  price: Math.cos(i),
}));

beforeAll(async () => {
  place = await startTraining();
  setEnds = openSetEnds(place.service);
  dataset = (await place.service.upload(csvOf(ROWS))).id;
});
afterAll(async () => {
  await setEnds.close();
  await place.stop();
});

const data = () => ({ dataset, target: "label", features: ["x", "colour"] });
const post = (id: string, body: unknown) => place.service.call("POST", `/v1/jobs/${id}/predictions`, { body });

async function predicted(id: string, asked: unknown): Promise<BatchPrediction> {
  const posted = await post(id, asked);
  expect(posted.status, posted.text).toBe(201);
  return await end(posted.headers.location);
}

async function end(url: string): Promise<BatchPrediction> {
  for (;;) {
    const { body } = await place.service.call("GET", url);
    if (body.finished_at !== null) return body as BatchPrediction;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function linesOf(prediction: BatchPrediction): Promise<string[]> {
  expect(prediction.error).toBeNull();
  const url = `/v1/jobs/${prediction.job_id}/predictions/${prediction.id}/result`;
  return (await place.service.call("GET", url)).text.trimEnd().split("\n");
}

const has = (row: Row, where: Row) => Object.entries(where).every(([name, value]) => row[name] === value);

test("each row has the line that its key's plain job gives it", async () => {
  const set = await place.trained({ data: { ...data(), partition_by: ["store", "open"] } });
  const prediction = await predicted(set.id, { dataset });
  expect(prediction).toMatchObject({
    split: null,
    fold: 0,
    seed: 0,
    weights_sha256: set.result!.weights_sha256,
    progress: { rows: 120, total_rows: 120 },
  });
  const [header, ...lines] = await linesOf(prediction);
  expect(lines).toHaveLength(120);
  for (const store of ["a", "b", "Ü 1"])
    for (const open of ["yes", "no"]) {
      const plain = await place.trained({ data: { ...data(), where: { store, open } } });
      const own = ROWS.filter((row) => has(row, { store, open }));
      const other = (await place.service.upload(csvOf(own))).id;
      const expected = await linesOf(await predicted(plain.id, { dataset: other }));
      expect([header, ...lines.filter((_, i) => has(ROWS[i], { store, open }))]).toEqual(expected);
    }
});

test("fold, seed and the best weights are chosen, and dates are keys", async () => {
  const spec = {
    loss: { type: "mse" },
    checkpoint: { keep_best: true },
    training: { epochs: 3, batch_size: 8, seed: 4, early_stopping: { metric: "valid_loss", patience: 9 } },
  };
  const own = { ...data(), target: "price", features: ["x"] };
  const set = await place.trained({
    ...spec,
    data: { ...own, partition_by: "day", validation: { folds: 2 } },
    training: { ...spec.training, seeds: 2 },
  });
  const [, ...lines] = await linesOf(await predicted(set.id, { dataset, which: "best", fold: 1, seed: 1 }));
  const plain = await place.trained({
    ...spec,
    data: { ...own, where: { day: "2024-02-01" }, validation: { folds: 2, fold: 1 } },
    training: { ...spec.training, seed: 5 },
  });
  const rows = ROWS.filter(({ day }) => day === "2024-02-01");
  const { predictions } = await place.predict(plain.id, { rows, which: "best" });
  const expected = (predictions as { value: number }[]).map(({ value }) => String(value));
  expect(lines.filter((_, i) => ROWS[i].day === "2024-02-01")).toEqual(expected);
});

test("texts beyond the classes are keys", async () => {
  const rows = Array.from({ length: 4400 }, (_, i) => ({ customer: `c${(i * 7) % 1100}`, x: Math.sin(i), y: i % 5 }));
  const { id } = await place.service.upload(csvOf(rows));
  const own = { dataset: id, target: "y", features: ["x"] };
  const spec = { model: { layers: [linear()] }, loss: { type: "mse" }, training: { epochs: 2, batch_size: 2 } };
  const set = await place.trained({ ...spec, data: { ...own, partition_by: "customer" } });
  const [, ...lines] = await linesOf(await predicted(set.id, { dataset: id }));
  for (const customer of ["c0", "c701", "c1099"]) {
    const plain = await place.trained({ ...spec, data: { ...own, where: { customer } } });
    const mine = rows.filter((row) => row.customer === customer);
    const { predictions } = await place.predict(plain.id, { rows: mine });
    const expected = (predictions as { value: number }[]).map(({ value }) => String(value));
    expect(lines.filter((_, i) => rows[i].customer === customer)).toEqual(expected);
  }
  const unknown = rows.map((row, i) => (i === 4000 ? { ...row, customer: "nobody" } : row));
  const failed = await predicted(set.id, { dataset: (await place.service.upload(csvOf(unknown))).id });
  expect(failed.error).toMatchObject({
    code: "invalid_rows",
    message: expect.stringMatching(/^\/rows\/4000\/customer is "nobody"/),
  });
});

test("out of fold each row has the line of the model that did not train on it", async () => {
  const validation = { folds: 3, seed: 2, stratify: true };
  const training = { epochs: 2, batch_size: 8, seed: 1 };
  const test = { every: 7 };
  // Of rows that are not open nobody learns.
  const own = { ...data(), where: { open: "yes" }, test };
  const set = await place.trained({
    data: { ...own, partition_by: "store", validation },
    training: { ...training, seeds: 2 },
  });
  const prediction = await predicted(set.id, { split: "out_of_fold", seed: 1 });
  expect(prediction).toMatchObject({ dataset, split: "out_of_fold", fold: null, seed: 1 });
  const [header, ...lines] = (await linesOf(prediction)).map((line) => line.split(","));
  expect(header).toEqual(["row", "store", "fold", "class", "probability_cat", "probability_dog"]);
  const numbers = lines.map(([row]) => Number(row));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  let seen = 0;
  for (const store of ["a", "b", "Ü 1"])
    for (let fold = 0; fold < 3; fold++) {
      const where = { open: "yes", store };
      const plain = await place.trained({
        data: { ...own, where, unseen: "zeros", validation: { ...validation, fold } },
        training: { ...training, seed: 2 },
      });
      const mine = lines.filter((cells) => cells[1] === store && cells[2] === String(fold));
      // As many as validate, with the accuracy that the job has on them.
      const { body: evaluation } = await place.service.call("GET", `/v1/jobs/${plain.id}/evaluation`);
      expect(mine).toHaveLength(evaluation.targets as number);
      const right = mine.filter(([row, , , best]) => ROWS[Number(row)].label === best).length;
      expect(right / mine.length).toBe(plain.result!.metrics.valid_accuracy);
      const rows = mine.map(([row]) => ROWS[Number(row)]);
      expect(rows.every((row) => has(row, where))).toBe(true);
      const { predictions } = await place.predict(plain.id, { rows });
      const all = predictions as { class: string; probabilities: Record<string, number> }[];
      const expected = all.map((one) => [one.class, ...["cat", "dog"].map((name) => String(one.probabilities[name]))]);
      expect(mine.map((cells) => cells.slice(3))).toEqual(expected);
      seen += mine.length;
    }
  expect(lines).toHaveLength(seen);
});

test("out of fold, a set without keys has its folds", async () => {
  const synthetic = { synthetic: { type: "spirals", rows: 31 }, target: "target", validation: { folds: 2 } };
  const set = await place.trained({ data: synthetic, training: { epochs: 1, batch_size: 4 } });
  const lines = await linesOf(await predicted(set.id, { split: "out_of_fold" }));
  expect(lines[0]).toMatch(/^row,fold,class/);
  expect(lines.slice(1).map((line) => line.split(",")[0])).toEqual(Array.from({ length: 31 }, (_, i) => String(i)));
});

test("a worker that dies in the middle leaves no trace in the bytes", async () => {
  const set = await place.trained({ data: { ...data(), partition_by: "store", validation: { folds: 2 } } });
  const undisturbed = await predicted(set.id, { split: "out_of_fold" });
  await place.pause();
  const { redis, directory } = place.service;
  const dying = await startProcess({
    REDIS_URL: redis.url,
    DATA_DIR: directory,
    RAPPEL_CRASH_AT: "mid-prediction",
  });
  const posted = await post(set.id, { split: "out_of_fold" });
  expect(await dying.exited).toBe("SIGKILL");
  await place.goOn();
  expect(await end(posted.headers.location)).toMatchObject({ run: 2, result: undisturbed.result });
});

test("what cannot be is told when it is posted", async () => {
  const plain = await place.trained({ data: data() });
  const set = await place.trained({ data: { ...data(), partition_by: "store" } });
  const narrow = (await place.service.upload(csvOf(ROWS.map(({ x, colour }) => ({ x, colour }))))).id;
  const named = await place.service.upload(
    csvOf(ROWS.map(({ store, ...rest }, i) => ({ ...rest, row: store, value: i }))),
  );
  const keyed = { ...data(), dataset: named.id, partition_by: "row" };
  const folds = await place.trained({ data: { ...keyed, validation: { folds: 2 } } });
  const windows = await place.trained({
    data: { dataset: named.id, target: "price", features: ["x"], window: { order: "value", length: 3 } },
    model: { layers: [{ type: "flatten" }, linear()] },
    loss: { type: "mse" },
  });
  const cases: [Job, unknown, string, RegExp][] = [
    [folds, { split: "out_of_fold" }, "/split", /two columns "row": train from .* another name$/],
    [windows, { dataset: named.id }, "/dataset", /two columns "value"/],
    [plain, { split: "out_of_fold" }, "/split", /set of models/],
    [plain, { dataset, fold: 1 }, "/fold", /set of models/],
    [set, { split: "out_of_fold" }, "/split", /folds/],
    [set, { dataset, fold: 1, seed: 0 }, "/fold", /below 1/],
    [set, { dataset: narrow }, "/dataset", /lacks the column "store"/],
    [set, { dataset, split: "out_of_fold" }, "", /either dataset or split/],
    [set, {}, "", /either dataset or split/],
  ];
  for (const [{ id }, body, pointer, message] of cases) {
    const refused = await post(id, body);
    expect([refused.status, refused.body.errors]).toEqual([
      422,
      [{ pointer, message: expect.stringMatching(message) as string }],
    ]);
  }
  expect((await post(set.id, { dataset, which: "best" })).status).toBe(404);
});

test("a set whose file is lost is told", async () => {
  const set = await place.trained({ data: { ...data(), partition_by: "store" } });
  await place.pause();
  const posted = await post(set.id, { dataset });
  rmSync(join(place.service.directory, `${set.id}.0.result`));
  await place.goOn();
  await expect
    .poll(async () => (await place.service.call("GET", posted.headers.location)).body.error, { timeout: 20_000 })
    .toMatchObject({ code: "model_unavailable" });
  expect((await post(set.id, { dataset })).status).toBe(503);
});
