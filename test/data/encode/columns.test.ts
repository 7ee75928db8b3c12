/** The columns of a table as a model takes them apart: classes, and the numbers beside them. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import { floats, npy, zip } from "../tensors/files.ts";
import { ingest } from "../../support/datasets.ts";
import { dataset, datasetFiles, dataSpec, LIMIT_BYTES, rowsOf } from "../support.ts";

type Given = Parameters<typeof dataSpec>[0];

/** Encoded, and measured the same; or the faults. */
async function apart(csv: string, given: Given = {}) {
  const { files, content } = await dataset(csv);
  const data = dataSpec(given);
  const measured = await measure(files.columnsPath(content), data, "value", "columns");
  if ("faults" in measured) return { faults: measured.faults };
  const made = await encode(files.columnsPath(content), data, "value", "columns");
  const values = made.encoding.inputs.map(({ encoders: _encoders, ...value }) => value);
  expect(measured.sizes.inputs).toEqual(values);
  expect(made.data.inputs).toMatchObject(values);
  const rows = made.data.inputs.map((input) => rowsOf({ inputs: [input] }));
  return { values, rows, encoders: made.encoding.inputs.map(({ encoders }) => encoders) };
}

// Rows 0 and 3 validate.
const csv = `colour,x,day,new,y
unseen,0,2024-01-01,yes,0
red,1,2024-01-02,no,1
blue,3,2024-01-03,no,2
green,3,2024-01-04,no,3
red,1,2024-01-05,no,4
blue,2,2024-01-06,no,5
`;
const validation = { every: 3 };

test("classes are counted from 1, in the order of the columns; unseen ones are 0", async () => {
  const { values, rows, encoders } = await apart(csv, { validation, preprocess: { numeric: "none" } });
  expect(values).toEqual([
    { name: "numbers", shape: [6], type: "float32" },
    { name: "categories", shape: [2], type: "int32", categories: [3, 2], columns: ["colour", "new"] },
  ]);
  expect(rows![0].map(([x, year]) => [x, year])).toEqual([0, 1, 3, 3, 1, 2].map((x) => [x, 2024]));
  expect(rows![1]).toEqual([
    [0, 0],
    [2, 1],
    [1, 1],
    [0, 1],
    [2, 1],
    [1, 1],
  ]);
  expect(encoders!.map((list) => list.map(({ column, type }) => [column, type]))).toEqual([
    [["x", "numeric"], ...Array.from({ length: 5 }, () => ["day", "date"])],
    [
      ["colour", "categorical"],
      ["new", "categorical"],
    ],
  ]);
  expect(encoders![1][0]).toEqual({ column: "colour", type: "categorical", classes: ["blue", "red"], fill: null });
});

test("a missing class is 0 or the most frequent one, and an indicator is a number", async () => {
  const table = "c,x,y\na,1,1\n,2,2\nb,3,3\nb,4,4\n";
  const zero = await apart(table, { preprocess: { missing: "mean", missing_indicator: true, numeric: "none" } });
  expect(zero.rows).toEqual([
    [
      [0, 1],
      [1, 2],
      [0, 3],
      [0, 4],
    ],
    [[1], [0], [2], [2]],
  ]);
  const filled = await apart(table, { preprocess: { missing: "most_frequent" } });
  expect(filled.rows![1]).toEqual([[1], [2], [2], [2]]);
  const error = await apart(table);
  expect(error.faults).toEqual([expect.objectContaining({ pointer: "/data/features" })]);
});

test("without numbers the classes are the only input; a class may be declared", async () => {
  const { values, rows } = await apart("c,zip,y\na,7,1\nb,7,2\na,9,3\n", { columns: { zip: "categorical" } });
  expect(values!.map(({ name, shape }) => [name, shape])).toEqual([["categories", [2]]]);
  expect(rows).toEqual([
    [
      [1, 1],
      [2, 1],
      [1, 2],
    ],
  ]);
});

test("a column without a class in the training rows has none but 0", async () => {
  const table = "c,d,y\n,p,1\n,q,2\na,p,3\n";
  const { values, rows } = await apart(table, { validation: { tail: 0.34 }, preprocess: { missing: "mean" } });
  expect(values).toMatchObject([{ name: "categories", categories: [1, 3] }]);
  expect(rows![0].map(([c]) => c)).toEqual([0, 0, 0]);
});

test("what has no classes, or a shape of its own, is told what to do", async () => {
  expect((await apart("x,y\n1,2\n2,3\n")).faults).toEqual([
    { pointer: "/data/features", message: expect.stringContaining('{"zip": "categorical"}') },
  ]);
  expect((await apart("c,y\na,2\nb,3\n", { shape: [2, 1] })).faults).toEqual([
    { pointer: "/data/shape", message: expect.stringContaining("must be null") },
  ]);
  const { files } = await datasetFiles();
  const numbers = npy({ descr: "<f4", shape: [2, 2], data: floats(1, 2, 3, 4) });
  const y = npy({ descr: "<f4", shape: [2], data: floats(1, 2) });
  const content = await ingest(files, Readable.from([zip({ "x.npy": numbers, "y.npy": y })]), LIMIT_BYTES);
  expect(await measure(files.columnsPath(content), dataSpec(), "value", "columns")).toEqual({
    faults: [{ pointer: "/data/features", message: expect.stringContaining('not the array "x"') }],
  });
});
