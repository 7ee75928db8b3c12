// Predictions of sets of models: each row by the model of its key, as its plain job predicts.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SetEnds } from "../../src/set-ends.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { openSetEnds } from "./service.ts";
import { csvOf, linear, startTraining, type Row } from "./trained.ts";

let place: Awaited<ReturnType<typeof startTraining>>;
let setEnds: SetEnds;
let dataset: string;

/** Rows of the keys take turns, so that the rows of no key stand side by side. */
const ROWS = Array.from({ length: 120 }, (_, i) => ({
  store: ["a", "b", "Ü 1"][i % 3],
  level: (i * 5) % 2 === 0 ? 1.5 : 20,
  open: i % 4 < 2,
  day: ["2024-01-31", "2024-02-01"][(i >> 2) % 2],
  x: Math.round(1e4 * Math.sin(i)) / 1e4,
  colour: ["red", "green", "blue"][(i * 7 + (i >> 3)) % 3],
  label: ["cat", "dog"][(i * 11 + (i >> 2)) % 2],
  price: Math.cos(i),
}));
const keyOf = (row: Row, columns: readonly string[]) =>
  Object.fromEntries(columns.map((name) => [name, row[name] as string | number | boolean]));

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

/** The plain job of a key predicts from all rows of the key. */
async function expectPlain(set: Job, spec: Record<string, object>, columns: readonly string[], choice = {}) {
  const { predictions } = await place.predict(set.id, { rows: ROWS, ...choice });
  const keys = new Map(ROWS.map((row) => [JSON.stringify(keyOf(row, columns)), keyOf(row, columns)]));
  for (const [text, where] of keys) {
    const job = await place.trained({ ...spec, data: { ...data(), ...spec.data, where } });
    const rows = ROWS.filter((row) => JSON.stringify(keyOf(row, columns)) === text);
    const own = predictions.filter((_, i) => JSON.stringify(keyOf(ROWS[i], columns)) === text);
    expect(own).toEqual((await place.predict(job.id, { rows })).predictions);
  }
}

test("each row has the prediction of its key's plain job, alone, among others and as a CSV", async () => {
  const columns = ["store", "open"];
  const set = await place.trained({ data: { ...data(), partition_by: columns } });
  await expectPlain(set, {}, columns);
  const all = await place.ask(set.id, { rows: ROWS });
  expect(all.body.weights_sha256).toBe(set.result!.weights_sha256);
  for (const i of [0, 7, 50])
    expect((await place.predict(set.id, { rows: [ROWS[i]] })).predictions).toEqual([all.body.predictions[i]]);
  expect((await place.askCsv(set.id, csvOf(ROWS))).text).toBe(all.text);
});

test("keys are read in any spelling that the dataset could have", async () => {
  const columns = ["level", "open", "day"];
  const spec = { loss: { type: "mse" }, training: { epochs: 2, batch_size: 4 } };
  const set = await place.trained({
    ...spec,
    data: { ...data(), target: "price", features: ["x"], partition_by: columns },
  });
  await expectPlain(set, { ...spec, data: { target: "price", features: ["x"] } }, columns);
  const row = { ...ROWS[0], level: 20, open: true, day: "2024-01-31" };
  const [expected] = (await place.predict(set.id, { rows: [row] })).predictions;
  const spellings = [
    { level: "20.0" },
    { level: " 2e1" },
    { open: "TRUE" },
    { open: "yes" },
    { day: "2024-01-31T00:00:00Z" },
  ];
  const { predictions } = await place.predict(set.id, { rows: spellings.map((cells) => ({ ...row, ...cells })) });
  expect(predictions).toEqual(spellings.map(() => expected));
});

test("fold and seed choose among the models of a key", async () => {
  const validation = { folds: 2, seed: 3 };
  const training = { epochs: 2, batch_size: 8, seed: 5 };
  const set = await place.trained({
    data: { ...data(), partition_by: "store", validation },
    training: { ...training, seeds: 2 },
  });
  const plain = (fold: number, seed: number) => ({
    data: { validation: { ...validation, fold } },
    training: { ...training, seed: 5 + seed },
  });
  await expectPlain(set, plain(0, 0), ["store"]);
  await expectPlain(set, plain(1, 1), ["store"], { fold: 1, seed: 1 });
  const json = await place.ask(set.id, { rows: ROWS, fold: 1, seed: 1 });
  const url = `/v1/jobs/${set.id}/predict?fold=1&seed=1`;
  const csv = await place.service.call("POST", url, { body: csvOf(ROWS), headers: { "content-type": "text/csv" } });
  expect(csv.text).toBe(json.text);
  const wrong = await place.ask(set.id, { rows: ROWS, fold: 2, seed: 2 });
  expect([wrong.status, wrong.body.errors]).toEqual([
    422,
    [
      { pointer: "/fold", message: expect.stringContaining("below 2") },
      { pointer: "/seed", message: expect.stringContaining("below 2") },
    ],
  ]);
});

test("a set without keys predicts from arrays too, and has best weights", async () => {
  const set = await place.trained({
    data: { ...data(), features: ["x"], validation: { folds: 3 } },
    checkpoint: { keep_best: true },
    training: { epochs: 3, batch_size: 16, early_stopping: { metric: "valid_loss", patience: 9 } },
  });
  const plain = await place.trained({
    data: { ...data(), features: ["x"], validation: { folds: 3, fold: 2 } },
    checkpoint: { keep_best: true },
    training: { epochs: 3, batch_size: 16, early_stopping: { metric: "valid_loss", patience: 9 } },
  });
  for (const which of ["final", "best"]) {
    const inputs = ROWS.map(({ x }) => [x]);
    const { predictions } = await place.predict(set.id, { inputs, fold: 2, which });
    expect(predictions).toEqual((await place.predict(plain.id, { inputs, which })).predictions);
  }
  const refused = await place.ask(plain.id, { rows: ROWS, fold: 1 });
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, "/fold"]);
});

describe("rows that no model takes", () => {
  let set: Job;
  beforeAll(async () => {
    // Of store "few" there are too few rows, and the prices of "wild" make its model diverge.
    const rows = [
      ...ROWS,
      { ...ROWS[0], store: "few" },
      ...ROWS.slice(0, 20).map((row, i) => ({ ...row, store: "wild", price: i === 3 ? 1e30 : 1 })),
    ];
    const { id } = await place.service.upload(csvOf(rows));
    set = await place.trained({
      data: {
        dataset: id,
        target: "price",
        features: ["x", "colour"],
        partition_by: ["store"],
        min_rows: 5,
        preprocess: { target: "none" },
      },
      model: { layers: [linear()] },
      loss: { type: "mse" },
      optimizer: { type: "sgd", lr: 0.1 },
    });
  });

  test("are told by row, all at once", async () => {
    const { store: _, ...without } = ROWS[0];
    const rows = [
      ROWS[0],
      { ...ROWS[0], store: "c" },
      { ...ROWS[0], store: "few" },
      { ...ROWS[0], store: "wild" },
      without,
      { ...ROWS[0], store: null },
      { ...ROWS[1], x: "?" },
      { ...ROWS[2], colour: "violet" },
    ];
    const { status, body } = await place.ask(set.id, { rows });
    expect(status).toBe(422);
    const found = (body.errors as { pointer: string; message: string }[]).toSorted((a, b) =>
      a.pointer < b.pointer ? -1 : 1,
    );
    expect(found.map(({ pointer }) => pointer)).toEqual([
      "/rows/1/store",
      "/rows/2",
      "/rows/3",
      "/rows/4/store",
      "/rows/5/store",
      "/rows/6/x",
      "/rows/7/colour",
    ]);
    for (const [at, message] of [
      /"c", which no training row/,
      /skipped.*1 row/,
      /failed/,
      /required/,
      /missing: it says which model/,
    ].entries())
      expect(found[at].message).toMatch(message);
  });

  test("nor samples without a key, nor a prompt", async () => {
    for (const [body, pointer] of [
      [{ inputs: [[1, 0, 0, 1]] }, "/inputs"],
      [{ prompt: "a" }, "/prompt"],
    ] as const) {
      const refused = await place.ask(set.id, body);
      expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, pointer]);
    }
    const best = await place.ask(set.id, { rows: ROWS, which: "best" });
    expect([best.status, best.body.detail]).toEqual([404, expect.stringContaining("keep_best")]);
  });
});

test("values that are known one by one may make no key together", async () => {
  const rows = ROWS.filter(({ store, open }) => store !== "a" || open);
  const { id } = await place.service.upload(csvOf(rows));
  const set = await place.trained({ data: { ...data(), dataset: id, partition_by: ["store", "open"] } });
  const { status, body } = await place.ask(set.id, { rows: [{ ...ROWS[0], store: "a", open: false }] });
  expect([status, body.errors]).toEqual([
    422,
    [{ pointer: "/rows/0", message: 'has a key that no training row has: "store" "a", "open" false' }],
  ]);
});

test("rows of a window have one key", async () => {
  const window = { order: "t", length: 3, horizon: 1 };
  const rows = Array.from({ length: 60 }, (_, t) => ({ store: "ab"[t % 2], t, x: Math.sin(t), y: Math.cos(t) }));
  const { id } = await place.service.upload(csvOf(rows));
  const windowed = { dataset: id, target: "y", features: ["x"], window };
  const spec = { model: { layers: [{ type: "flatten" }, linear()] }, loss: { type: "mse" } };
  const set = await place.trained({ ...spec, data: { ...windowed, partition_by: "store" } });
  const plain = await place.trained({ ...spec, data: { ...windowed, where: { store: "b" } } });
  const own = rows.filter(({ store }) => store === "b");
  const { predictions } = await place.predict(set.id, { rows: own });
  expect(predictions).toEqual((await place.predict(plain.id, { rows: own })).predictions);
  expect(predictions).toHaveLength(28);
  const { status, body } = await place.ask(set.id, { rows });
  expect([status, body.errors[0].pointer]).toEqual([422, "/rows/1"]);
});

test("a file that is lost is told", async () => {
  const set = await place.trained({ data: { ...data(), partition_by: "store" } });
  await place.predict(set.id, { rows: ROWS });
  rmSync(join(place.service.directory, `${set.id}.0.result`));
  const lost = await place.ask(set.id, { rows: ROWS });
  expect([lost.status, lost.body.detail]).toEqual([503, expect.stringContaining("missing")]);
});
