// Every model of a set is the plain job with its key, fold and seed.
import { expect, test } from "vitest";
import { fitShared } from "../../src/data/encode/shared.ts";
import { targetsOf } from "../../src/engine/losses/targets.ts";
import { takenBy } from "../../src/engine/plan/taken.ts";
import type { Spec } from "../../src/contract/schema/spec.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import { hashed } from "../../src/engine/state/state.ts";
import type { ShardModel } from "../../src/sets/shard-file.ts";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { choices, modelsIn, noise, plain, specOf, tableOf, trainSet, type Changes, type Taken } from "./support.ts";

/** Rows of five stores of unequal size, with columns of all kinds, in a mixed order. */
function stores(sizes: readonly number[] = [40, 24, 40, 31, 3]): string {
  const next = noise(3);
  const rows = sizes.flatMap((size, store) =>
    Array.from({ length: size }, (_, i) => {
      const [a, b] = [next() * (1 + store), next()];
      const city = ["Oslo", "Rome", "Bern", ""][Math.floor((next() + 1) * 2)];
      const y = a + b > 0.5 ? "high" : a + b < -0.5 ? "low" : "mid";
      const row = {
        store,
        open: i % 2 === 0,
        day: store === 2 && i % 5 === 0 ? "" : `2026-01-0${1 + (i % 2)}`,
        a,
        b: i % 9 === 4 ? "" : b,
        city,
        y,
        z: i === 7 ? "" : 3 * a - b,
        w: 3 * b + (store === 1 ? 0 : a),
        part: i % 4,
        chosen: Number(i % 5 === 1),
        weight: 1 + (i % 3),
        t: (i * 7) % size,
        big: a * (store === 3 ? 1e30 : 1),
        flat: store === 4 ? 1 : b,
      };
      return [next(), row] as const;
    }),
  );
  const mixed = rows.toSorted(([one], [other]) => one - other).map(([, row]) => row);
  return [Object.keys(mixed[0]), ...mixed.map((row) => Object.values(row))].map((cells) => cells.join(",")).join("\n");
}

/** Compares every model with its plain job. */
async function expectPlain(path: string, spec: Spec, models: readonly ShardModel[], taken?: Taken): Promise<void> {
  for (const { entry, notes, file } of models) {
    const { validation } = spec.data;
    const isOpen = validation !== null && "folds" in validation && validation.fold === undefined;
    const data = {
      ...spec.data,
      partition_by: null,
      where: spec.data.partition_by === null ? spec.data.where : { ...spec.data.where, ...entry.key },
      validation: isOpen ? { ...validation, fold: entry.fold } : validation,
    };
    const training = { ...spec.training, seed: spec.training.seed + entry.seed, seeds: 1 };
    const { status, error, steps, epochs, best, stop_reason, metrics, weights_sha256 } = entry;
    if (error?.code === "too_few_rows") {
      expect(error.message).toBe(`The key has ${entry.rows} rows, and /data/min_rows is ${spec.data.min_rows}.`);
      continue;
    }
    const expected = await plain(path, { ...spec, data, training }, taken);
    if (expected.status !== "succeeded") {
      expect({ status, error }).toEqual(expected);
      continue;
    }
    const { weights, bestWeights, encoding, file: _, ...rest } = expected;
    expect({ status, error, steps, epochs, best, stop_reason, metrics }).toEqual(rest);
    expect(weights_sha256).toBe(weights);
    expect(hashed(file("final")!.bytes)).toEqual(file("final"));
    expect(file("final")!.sha256).toBe(weights);
    expect(file("best")?.sha256 ?? null).toBe(bestWeights);
    const { inputs, target, reading } = encoding;
    const encoders = inputs.flatMap((input) => input.encoders);
    expect(JSON.parse(JSON.stringify(notes()))).toMatchObject({ inputs: encoders, target, reading });
  }
}

const preprocess = { missing: "most_frequent", missing_target: "drop_row" };
const y = { partition_by: "store", preprocess, features: ["a", "b", "city"] };
const z = { ...y, target: "z", features: ["a", "b", "day"] };
const mse = { type: "mse" };
const linear = (outputs: number | null) => ({ type: "linear", out_features: outputs });
const embedded = { layers: [{ type: "column_embedding", embedding_dim: 3 }, linear(null)] };
const recurrent = { layers: [{ type: "gru", hidden_size: 3 }, linear(null)] };
const averaging = { type: "ema", start_step: 4 };
const plateau = { policy: "stop", after: 0.2, min_drop: 0.9 };

/** With the statuses of the models: S for succeeded, F for failed, - for skipped. */
const cases: [name: string, statuses: string, changes: Changes][] = [
  ["a class, missing cells, tiny keys", "SSSSS", { data: y }],
  [
    "folds and seeds of some rows",
    "SSSSSSSSS",
    {
      data: { ...y, where: { part: 1, open: false }, validation: { folds: 3, seed: 2 }, partition_by: null },
      training: { seeds: 3 },
    },
  ],
  [
    "keys, folds and seeds",
    "SSSSSSSSSSSSSSSS----",
    { data: { ...y, validation: { folds: 2, seed: 2, stratify: true }, min_rows: 4 }, training: { seeds: 2 } },
  ],
  ["several columns with missing values", "SS", { data: { ...y, partition_by: ["open", "day"] } }],
  ["a date, and rows of some values alone", "SS", { data: { ...y, partition_by: "day", where: { store: 2 } } }],
  [
    "values, a test, and the best weights",
    "SSSSS",
    {
      data: { ...z, validation: { fraction: 0.3, seed: 4 }, test: { tail: 0.2 } },
      loss: mse,
      checkpoint: { keep_best: true },
      training: { early_stopping: { patience: 1 }, epochs: 6 },
    },
  ],
  ["several targets", "SSSSS", { data: { ...z, target: ["z", "w"] }, loss: { type: "huber" } }],
  ["weights of rows", "SSSSS", { data: { ...z, weight: "weight", validation: { column: "chosen" } }, loss: mse }],
  [
    "weights of classes",
    "SSSSS",
    { data: { ...y, class_weight: "balanced", validation: { group: "part", fraction: 0.2, seed: 3 } } },
  ],
  [
    "rows that are dropped, and what follows from their number",
    "SSSSS",
    {
      data: { ...y, preprocess: { missing: "drop_row" } },
      schedule: { type: "cosine_annealing", warmup_steps: 2 },
    },
  ],
  [
    "columns of another type, apart",
    "SSSSS",
    { data: { ...y, columns: { part: "categorical" }, features: ["part", "a", "city"] }, model: embedded },
  ],
  ["windows", "SSSS-", { data: { ...z, window: { order: "t", length: 4 } }, loss: mse, model: recurrent }],
  [
    "keys that diverge",
    "SSSFS",
    {
      data: { ...y, features: ["big"], preprocess: { ...preprocess, numeric: "none" } },
      optimizer: { type: "sgd", lr: 0.1 },
    },
  ],
  [
    "a detector that ends",
    "SSSSS",
    { data: y, optimizer: { type: "sgd", lr: 1e-9 }, detectors: { plateau }, training: { epochs: 40 } },
  ],
  [
    "a metric that some rows leave undefined",
    "SSSS-",
    {
      data: { ...z, target: "flat", features: ["a"], validation: { fraction: 0.5, seed: 1 } },
      loss: mse,
      training: { early_stopping: { metric: "valid_r2", patience: 2 } },
    },
  ],
  ["averages, of which a few rows allow none", "SSSS-", { data: y, training: { averaging } }],
  ["changed samples", "SSSSS", { data: { ...y, augment: { gaussian_noise: { sigma: 0.2 } } } }],
];

test.each(cases)("models are their plain jobs: %s", async (_, statuses, changes) => {
  const path = await tableOf(stores());
  const spec = specOf(changes);
  for (const choice of choices) {
    const models = await modelsIn((await trainSet(path, spec, [], choice)).paths);
    const found = models.map(({ entry: { status } }) => ({ succeeded: "S", failed: "F", skipped: "-" })[status]);
    expect(found.join("")).toBe(statuses);
    if (choice === choices.at(-1)) await expectPlain(path, spec, models);
  }
});

const own = Object.values(optimizers).filter(({ dialect }) => dialect === undefined);
test.each(own)("models are their plain jobs under $type", async ({ type, fullBatch }) => {
  const path = await tableOf(stores([12, 12, 9, 12]));
  const matrix = { layers: [{ ...linear(null), bias: false }] };
  const spec = specOf({
    data: y,
    optimizer: { type },
    training: { batch_size: fullBatch ? "full" : 5, epochs: 2 },
    // Muon is for matrices alone.
    model: type === "muon" ? matrix : { layers: [linear(4), { type: "tanh" }, linear(null)] },
  });
  const models = await modelsIn((await trainSet(path, spec, [], choices.at(-1))).paths);
  expect(models.map(({ entry }) => entry.status)).toEqual(models.map(() => "succeeded"));
  await expectPlain(path, spec, models);
});

const layers = [linear(4), { type: "tanh" }, linear(null)];
const normed = { type: "adam", fullBatch: false, layers: [linear(4), { type: "batch_norm1d" }, linear(null)] };
const begun = own.map(({ type, fullBatch }) => {
  // Muon is for matrices alone.
  return { type, fullBatch, layers: type === "muon" ? [{ ...linear(null), bias: false }] : layers };
});

test.each([...begun, normed])(
  "models that begin with the pooled one are their plain jobs under $type",
  async ({ type, fullBatch, layers }) => {
    const path = await tableOf(stores([12, 12, 9, 12]));
    const spec = specOf({
      data: { ...y, encoders: "shared" },
      optimizer: { type },
      // Enough that are alike for packs.
      training: { batch_size: fullBatch ? "full" : 5, epochs: 2, seeds: 5 },
      model: { layers },
    });
    const { data, loss, model } = spec;
    const inherited = await fitShared({
      table: path,
      data,
      targets: targetsOf(loss),
      takes: takenBy(model.layers),
    });
    if ("faults" in inherited) throw new Error(inherited.faults[0].message);
    const [whole, training] = [
      { ...data, partition_by: null },
      { ...spec.training, seeds: 1 },
    ];
    const pooled = await plain(path, { ...spec, data: whole, training }, { inherited, start: null });
    if (pooled.status !== "succeeded") throw new Error(pooled.error.message);
    const taken = { inherited, start: pooled.file() };
    for (const choice of choices) {
      const { paths } = await trainSet(path, spec, [], choice, undefined, taken);
      const models = await modelsIn(paths);
      expect(models.map(({ entry }) => entry.status)).toEqual(models.map(() => "succeeded"));
      if (choice === choices.at(-1)) await expectPlain(path, spec, models, taken);
    }
  },
);

test("models of arrays are their plain jobs", async () => {
  const next = noise(8);
  const numbers = Array.from({ length: 60 }, next);
  const keys = Array.from({ length: 20 }, (_, i) => (i * 3) % 4);
  const file = zip({
    "store.npy": npy({ descr: "<i8", shape: [20], data: longs(...keys) }),
    "x.npy": npy({ descr: "<f4", shape: [20, 3], data: floats(...numbers) }),
    "y.npy": npy({ descr: "<f4", shape: [20], data: floats(...numbers.slice(0, 20)) }),
  });
  const path = await tableOf(file);
  const spec = specOf({ data: { partition_by: "store", target: "y", features: ["x"] }, loss: mse });
  const models = await modelsIn((await trainSet(path, spec, [2])).paths);
  expect(models.map(({ entry }) => entry.key)).toEqual([0, 1, 2, 3].map((store) => ({ store })));
  await expectPlain(path, spec, models);
});

test("a shard may be stopped at any turn, and the next one is not disturbed", async () => {
  const path = await tableOf(stores());
  let turns = 0;
  const stops = {
    async turn() {
      if (++turns === 3) throw new Error("the lease is lost");
    },
    ended() {},
  };
  const long = specOf({ data: y, training: { epochs: 20_000, seeds: 3 } });
  await expect(trainSet(path, long, [], "wasm", stops)).rejects.toThrow("the lease is lost");
  const ended: number[] = [];
  const spec = specOf({ data: y, training: { seeds: 20 } });
  const counts = { async turn() {}, ended: (models: number) => void ended.push(models) };
  const { paths } = await trainSet(path, spec, [], "wasm", counts);
  expect(ended).toEqual(ended.toSorted((a, b) => a - b));
  expect(ended.length).toBeGreaterThan(5);
  expect(ended.at(-1)).toBe(100);
  const models = (await modelsIn(paths)).filter(({ entry }) => entry.seed === 19);
  expect(models).toHaveLength(5);
  await expectPlain(path, spec, models);
});
