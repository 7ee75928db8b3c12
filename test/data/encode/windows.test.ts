/** Samples of a table sorted by time. */
import { describe, expect, test } from "vitest";
import { batchesOf, encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import type { DataSpec, WindowRule } from "../../../src/data/encode/encoding.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import { member, smallJob, train } from "../../support/training.ts";
import { dataset, dataSpec } from "../support.ts";

const NONE = { numeric: "none", target: "none" } as const;
const spec = (
  given: Partial<Omit<DataSpec, "window" | "preprocess">>,
  window: Partial<WindowRule> = {},
  preprocess: Partial<DataSpec["preprocess"]> = NONE,
) =>
  dataSpec({
    target: "y",
    features: ["x"],
    ...given,
    preprocess,
    window: { order: "t", series: null, length: 3, horizon: 1, stride: 1, ...window },
  });

async function samples(csv: string, data: DataSpec) {
  const { files, content } = await dataset(csv);
  const path = files.columnsPath(content);
  const { data: encoded, encoding } = await encode(path, data, "value");
  const [{ values, shape, step }] = encoded.inputs;
  const width = shape.reduce((a, b) => a * b, 1);
  const { targets, targetShape, targetStep, trainRows, validRows, testRows } = encoded;
  const outputs = targetShape.reduce((a, b) => a * b, 1);
  const side = (rows: Int32Array) =>
    Array.from(rows, (row) => [
      [...values.subarray(row * step!, row * step! + width)],
      [...targets.subarray(row * targetStep!, row * targetStep! + outputs)],
    ]);
  expect(await measure(path, data, "value")).toMatchObject({
    sizes: {
      train: trainRows.length,
      valid: validRows.length,
      test: testRows.length,
      inputs: [{ shape }],
      targetShape,
      encodedBytes: values.byteLength + targets.buffer.byteLength,
    },
  });
  return { train: side(trainRows), valid: side(validRows), test: side(testRows), shape, encoding, path };
}

/** Rows with the columns t, x and y. */
const table = (rows: readonly (readonly (number | string)[])[], header = "t,x,y") =>
  [header, ...rows.map((row) => row.join(","))].join("\n");
const counted = (count: number) => Array.from({ length: count }, (_, i) => [i, i, 100 + i]);

test("samples are rows that follow each other, and the target lies ahead of them", async () => {
  const { train: training, shape } = await samples(table(counted(7)), spec({}, { horizon: 2 }));
  expect(shape).toEqual([3, 1]);
  expect(training).toEqual([
    [[0, 1, 2], [104]],
    [[1, 2, 3], [105]],
    [[2, 3, 4], [106]],
  ]);
  const strided = await samples(table(counted(9)), spec({}, { stride: 3 }));
  expect(strided.train.map(([input]) => input)).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
});

test("rows are put in order, by dates too, and batches name them by their place in the file", async () => {
  const rows = counted(6).map(([t, x, y]) => [`2024-01-0${t + 1}`, x, y]);
  const data = spec({});
  const { train: training, path } = await samples(table(rows.toReversed()), data);
  expect(training.map(([input]) => input)).toEqual([
    [0, 1, 2],
    [1, 2, 3],
    [2, 3, 4],
  ]);
  const options = { batch_size: 9, drop_last: false, shuffle: false, seed: 0, gradient_accumulation_steps: 1 };
  const which = { training: options, inherited: null, epoch: 0, first: 0, limit: 1 };
  const { batches } = await batchesOf(path, data, which, thisProcess);
  expect([...batches[0].rows]).toEqual([5, 4, 3]);
});

test("no sample crosses a series, a split or a dropped row, and a tail is that of each series", async () => {
  const rows = ["b", "a"].flatMap((name) =>
    Array.from({ length: 12 }, (_, i) => [i, name === "a" && i === 4 ? "" : i + (name === "b" ? 50 : 0), i, name]),
  );
  const data = spec({ validation: { tail: 0.25 } }, { series: "s", length: 2 }, { ...NONE, missing: "drop_row" });
  const { train: training, valid } = await samples(table(rows, "t,x,y,s"), data);
  // Of series a the row 4 is missing, and the rows 9 to 11 of each validate.
  const first = (sides: typeof training) => sides.map(([input]) => input[0]);
  expect(first(training)).toEqual([0, 1, 5, 6, 50, 51, 52, 53, 54, 55, 56]);
  expect(first(valid)).toEqual([9, 59]);
});

test("statistics are those of the training rows, of several features and a target among them", async () => {
  const rows = Array.from({ length: 12 }, (_, i) => [i, i < 8 ? i % 2 : 1000, i < 8 ? 3 * (i % 2) : 500]);
  const data = spec({ features: ["x", "y"], validation: { tail: 1 / 3 }, test: null }, { length: 2 }, {});
  const { train: training, encoding, shape } = await samples(table(rows), data);
  expect(shape).toEqual([2, 2]);
  expect(training[0]).toEqual([[-1, -1, 1, 1], [-1]]);
  expect(encoding.inputs[0].encoders).toMatchObject([
    { mean: 0.5, std: 0.5 },
    { mean: 1.5, std: 1.5 },
  ]);
  expect(encoding.target).toMatchObject({ mean: 1.5, std: 1.5 });
});

test("a shape is that of a sample, classes are encoded, and columns may be a list of targets", async () => {
  const rows = Array.from({ length: 8 }, (_, i) => [i, "pq"[i % 2], i, i * 10]);
  const data = spec({ features: ["x", "y"], target: ["y", "z"], shape: [3, 2] }, { length: 2 });
  const { train: training } = await samples(table(rows, "t,x,y,z"), data);
  expect(training[0]).toEqual([
    [1, 0, 0, 0, 1, 1],
    [2, 20],
  ]);
});

describe("told by name", () => {
  test.each<[string, DataSpec, string]>([
    [
      "a window that is too long",
      spec({}, { length: 20 }),
      "/data/window/length leaves no sample to train: 20 rows and the target 1 after them take 21 rows of one series that follow each other, and the longest such stretch has 12",
    ],
    [
      "a validation that is too short",
      spec({ validation: { tail: 0.25 } }),
      "/data/validation leaves no sample to validate",
    ],
    ["an unknown order", spec({}, { order: "when" }), '/data/window/order names "when", and the dataset has only'],
    [
      "an order of texts",
      spec({}, { order: "s" }),
      '/data/window/order names "s", which holds neither numbers nor dates',
    ],
    ["times that repeat", spec({}, { order: "r" }), '/data/window/order names "r", which has 0 twice in one series'],
    [
      "a series that misses values",
      spec({}, { series: "m" }),
      '/data/window/series names "m", whose value is missing in 1 rows',
    ],
    ["no features", spec({ features: null, exclude: ["x", "r", "s", "m"] }), "/data/features must list columns"],
    ["another shape", spec({ shape: [4] }), "/data/shape holds 4 numbers (4), but the features give 3 for a row"],
  ])("%s", async (_, data, expected) => {
    const rows = Array.from({ length: 12 }, (_, i) => [i, i, i, i >> 1, "ab"[i % 2], i === 3 ? "" : 1]);
    const { files, content } = await dataset(table(rows, "t,x,y,r,s,m"));
    const measured = await measure(files.columnsPath(content), data, "value");
    const found = "faults" in measured ? measured.faults.map(({ pointer, message }) => `${pointer} ${message}`) : [];
    expect(found).toEqual([expect.stringContaining(expected)]);
  });
});

test("the same bytes from any number of threads, and from a checkpoint", async () => {
  const rows = Array.from({ length: 90 }, (_, i) => [i, Math.sin(i), Math.cos(i)]);
  const { files, content } = await dataset(table(rows));
  const window = { order: "t", series: null, length: 6, horizon: 2, stride: 1 };
  const data = dataSpec({ features: ["x", "y"], validation: { tail: 0.3 }, window });
  const job = smallJob({
    data: (await encode(files.columnsPath(content), data, "value")).data,
    layers: [member("layers", "lstm", { hidden_size: 5 }), member("layers", "linear")],
    loss: member("losses", "mse"),
    training: { epochs: 3, batch_size: 7, log_every_steps: 1 },
  });
  const whole = await train(job, { threads: 1, everySteps: 9 });
  for (const threads of [2, 5]) expect((await train(job, { threads })).state?.sha256).toBe(whole.state?.sha256);
  const [[, state]] = [...whole.checkpoints];
  expect((await train(job, { threads: 2, state })).state?.sha256).toBe(whole.state?.sha256);
});
