/** Jobs that see only the rows with some values. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { batchesOf, encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import { checkData } from "../../../src/data/encode/check.ts";
import type { DataSpec, SplitRule } from "../../../src/data/encode/encoding.ts";
import { tableOf } from "../../../src/data/encode/viewed-file.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import type { TargetKind } from "../../../src/engine/training.ts";
import { ingest } from "../../support/datasets.ts";
import { dataset, datasetFiles, dataSpec, LIMIT_BYTES } from "../support.ts";
import { floats, npy, zip } from "../tensors/files.ts";

type Given = Parameters<typeof dataSpec>[0];
type Row = Record<string, string | number>;

const csvOf = (rows: readonly Row[]) =>
  [Object.keys(rows[0]), ...rows.map((row) => Object.values(row))].map((cells) => cells.join(",")).join("\n");

/** 60 rows of three stores. Each store has all classes. */
const rows: Row[] = Array.from({ length: 60 }, (_, i) => ({
  store: [12, 7, -0.5][i % 3],
  open: i % 2 === 0 ? "yes" : "no",
  day: `2024-01-0${1 + (i % 4)}`,
  city: ["Oslo", 'Rome, "old"', "Bern"][(i >> 1) % 3].replaceAll('"', ""),
  x: i % 7 === 0 ? "" : Math.sin(i),
  kind: ["a", "b"][(i >> 2) % 2],
  y: (i * 37) % 11,
  t: 1000 - i,
}));
for (const row of rows) row.city = String(row.city).replace(",", ";");

async function encodingOf(some: readonly Row[], given: Given, targets: TargetKind = "value") {
  const { files, content } = await dataset(csvOf(some));
  const data = dataSpec(given);
  const path = files.columnsPath(content);
  const measured = await measure(path, data, targets);
  const { data: made, encoding } = await encode(path, data, targets);
  return { measured, made, encoding };
}

const features = ["x", "kind", "t"];
const rules: (SplitRule | null)[] = [
  null,
  { every: 4 },
  { tail: 0.3 },
  { fraction: 0.25, seed: 3 },
  { folds: 3, fold: 1, seed: 2 },
];
const choices: [string, NonNullable<DataSpec["where"]>, (row: Row) => boolean][] = [
  ["a number", { store: 12 }, ({ store }) => store === 12],
  ["a number that is written as a text", { store: "-0.5" }, ({ store }) => store === -0.5],
  ["a class", { city: "Oslo" }, ({ city }) => city === "Oslo"],
  ["a truth", { open: true }, ({ open }) => open === "yes"],
  ["the word of a truth", { open: "no" }, ({ open }) => open === "no"],
  ["a date", { day: "2024-01-03" }, ({ day }) => day === "2024-01-03"],
  ["several values", { store: 7, open: "yes" }, ({ store, open }) => store === 7 && open === "yes"],
];

test.each(choices)("a job on rows with %s is one on a table of these rows", async (_, where, isChosen) => {
  const some = rows.filter(isChosen);
  expect(some.length).toBeGreaterThan(5);
  for (const validation of rules) {
    const given = { features, validation, preprocess: { missing: "mean" } as const };
    expect(await encodingOf(rows, { ...given, where })).toEqual(await encodingOf(some, given));
  }
});

test("windows are cut from the rows that are chosen", async () => {
  const window = { order: "t", series: "city", length: 2, horizon: 1, stride: 1 };
  const given = { features: ["kind"], window, validation: { tail: 0.4 } };
  const some = rows.filter(({ store }) => store === 7);
  expect(await encodingOf(rows, { ...given, where: { store: 7 } })).toEqual(await encodingOf(some, given));
  const { files, content } = await dataset(csvOf(some));
  const training = { batch_size: 4, drop_last: false, shuffle: true, seed: 1, gradient_accumulation_steps: 1 } as const;
  const which = { training, inherited: null, epoch: 0, first: 0, limit: 100 };
  const alone = await batchesOf(files.columnsPath(content), dataSpec(given), which, thisProcess);
  const whole = await dataset(csvOf(rows));
  const data = dataSpec({ ...given, where: { store: 7 } });
  expect(await batchesOf(whole.files.columnsPath(whole.content), data, which, thisProcess)).toEqual(alone);
});

test("cells that are missing in other rows do not count", async () => {
  const where = { store: 7 };
  const table = rows.map((row) => ({ ...row, x: row.store === 7 ? row.x || 1 : "", y: row.store === 7 ? row.y : "" }));
  const some = table.filter((_, i) => rows[i].store === 7);
  const made = await encodingOf(table, { features, where });
  expect(made).toEqual(await encodingOf(some, { features }));
});

test("texts choose rows whether they are classes or not", async () => {
  const long = (i: number) => `customer ${i} `.repeat(30).trim();
  const table = Array.from({ length: 1200 }, (_, i) => ({ name: long(i >> 2), x: i, y: i % 5 }));
  const some = table.filter(({ name }) => name === long(41));
  const given = { features: ["x"] };
  expect(await encodingOf(table, { ...given, where: { name: long(41) } })).toEqual(await encodingOf(some, given));
});

test("arrays are those of the chosen rows", async () => {
  const f4 = (shape: number[], ...values: number[]) => npy({ descr: "<f4", shape, data: floats(...values) });
  const arrays = async (count: number, pick: (row: number) => number) => {
    const order = Array.from({ length: count }, (_, row) => pick(row));
    const { files } = await datasetFiles();
    const x = f4([count, 2, 2], ...order.flatMap((row) => [row, 2 * row, -row, 5]));
    const file = zip({
      "x.npy": x,
      "y.npy": f4([count], ...order),
      "g.npy": f4([count], ...order.map((row) => row % 2)),
    });
    const content = await ingest(files, Readable.from([file]), LIMIT_BYTES);
    return files.columnsPath(content);
  };
  const all = await arrays(10, (row) => row);
  const odd = await arrays(5, (row) => 2 * row + 1);
  const given = { features: ["x"], validation: { every: 2 } };
  const made = await encode(all, dataSpec({ ...given, where: { g: 1 } }), "value");
  expect(made).toEqual(await encode(odd, dataSpec(given), "value"));
});

test("the columns that choose rows are no default features", async () => {
  const { encoding } = await encodingOf(rows, { where: { store: 7, city: "Oslo" }, preprocess: { missing: "mean" } });
  const columns = encoding.inputs[0].encoders.map(({ column }) => column);
  expect(columns).not.toContain("store");
  expect(columns).not.toContain("city");
  expect(columns).toContain("kind");
});

test.each([
  ["/data/where/shop", { shop: 1 }, /^names "shop", and the dataset has only "store"/],
  ["/data/where/store", { store: "north" }, 'names "store", which holds numbers, and "north" is none'],
  ["/data/where/store", { store: true }, 'names "store", which holds numbers, and true is none'],
  ["/data/where/open", { open: "maybe" }, 'names "open", which holds true and false, and "maybe" is neither'],
  ["/data/where/day", { day: "03/04/2024" }, /^names "day", which holds dates, .* write it as 2026-01-31$/],
  ["/data/where/city", { city: "Paris" }, 'names "city", which is "Paris" in no row'],
  ["/data/where/city", { city: "" }, 'names "city", and an empty text is a missing value, which chooses no rows'],
])("%s: %j is a fault", async (pointer, where, message) => {
  const { content } = await dataset(csvOf(rows));
  const faults = checkData(tableOf(content), dataSpec({ features: ["t"], where }), "value");
  expect(faults).toEqual([{ pointer, message: expect.stringMatching(message) as string }]);
});

test("values that no row has together choose no rows", async () => {
  const { files, content } = await dataset(csvOf(rows));
  const data = dataSpec({ features: ["t"], where: { store: 12, t: 999 } });
  expect(await measure(files.columnsPath(content), data, "value")).toEqual({
    faults: [{ pointer: "/data/where", message: "chooses no rows: none has all these values" }],
  });
});
