import { expect, test } from "vitest";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { dataSpec, encoded, rowsOf } from "../support.ts";

/** Row 0 validates; numbers stay as they are. */
const spec = (preprocess: Partial<DataSpec["preprocess"]>, given: Partial<DataSpec> = {}) =>
  dataSpec({ validation: { every: 1000 }, ...given, preprocess: { numeric: "none", target: "none", ...preprocess } });
const inputs = async (csv: string, data: DataSpec) => rowsOf(await encoded(csv, data));
const table = (cells: string[]) => `x,y\n${cells.map((cell, row) => `${cell},${row}`).join("\n")}\n`;

test.each([
  ["of an odd number of values the middle one", ["900", "7", "", "1", "5"], 5],
  ["of an even number the mean of the middle two", ["900", "7", "1", "", "5", "2"], 3.5],
  ["by value, not by spelling", ["900", "10", "9", "", "100"], 10],
  ["of training rows without any value 0", ["900", "", ""], 0],
])("median: %s", async (_what, cells, median) => {
  const rows = await inputs(table(cells), spec({ missing: "median" }));
  expect(rows.map(([x]) => x)).toEqual(cells.map((cell) => (cell === "" ? median : Number(cell))));
});

test.each([
  ["the value that most training rows have", ["3", "3", "3", "8", "8", "8", "", "1"], 8],
  ["of equally frequent ones the smallest", ["3", "8", "8", "-2", "-2", "", "3"], -2],
  ["of zeros the positive one", ["3", "-0", "0.0", "", "3"], 0],
])("most_frequent: %s", async (_what, cells, value) => {
  const rows = await inputs(table(cells), spec({ missing: "most_frequent" }));
  expect(rows.map(([x]) => x)).toEqual(cells.map((cell) => (cell === "" ? value : Number(cell))));
});

test("a median and a mode are those of any sample of numbers", async () => {
  // Numbers with many ties, in an order that says nothing; row 0 validates and is not among them.
  for (const count of [10, 11, 500]) {
    const numbers = Array.from({ length: count }, (_, i) => ((i * 7919) % 13) / 4 - ((i * 31) % 7));
    const cells = ["1000", "", ...numbers.map(String)];
    const sorted = numbers.toSorted((a, b) => a - b);
    const middle = [sorted[Math.floor((count - 1) / 2)], sorted[Math.ceil((count - 1) / 2)]];
    const often = (value: number) => numbers.filter((other) => other === value).length;
    const most = Math.max(...numbers.map(often));
    const fill = async (missing: "median" | "most_frequent") =>
      (await encoded(table(cells), spec({ missing }))).encoding.inputs[0].encoders[0];
    expect(await fill("median")).toMatchObject({ fill: (middle[0] + middle[1]) / 2 });
    expect(await fill("most_frequent")).toMatchObject({ fill: sorted.find((value) => often(value) === most) });
  }
});

test("a missing class is replaced by the most frequent one in the training rows; of equal ones by the first", async () => {
  const csv = "k,x,y\nb,0,0\nb,0,1\na,0,2\n,0,3\na,0,4\nb,0,5\n,0,6\n";
  const { encoding, ...data } = await encoded(csv, spec({ missing: "most_frequent" }));
  expect(encoding.inputs[0].encoders[0]).toEqual({ column: "k", type: "categorical", classes: ["a", "b"], fill: "a" });
  expect(rowsOf(data).map(([a, b]) => (a === 1 ? "a" : b === 1 ? "b" : ""))).toEqual("bbaaaba".split(""));
  for (const missing of ["mean", "median"] as const) {
    const { encoding, ...unfilled } = await encoded(csv, spec({ missing }));
    expect(encoding.inputs[0].encoders[0]).toMatchObject({ fill: null });
    expect(rowsOf(unfilled)[3]).toEqual([0, 0, 0]);
  }
});

test("an indicator follows the inputs of each feature that has missing values among the training rows", async () => {
  // z misses a value in row 0 only, which validates.
  const csv = "x,k,z,y\n,a,,0\n4,,1,1\n,b,2,2\n6,b,3,3\n";
  const data = await encoded(csv, spec({ missing: "mean", missing_indicator: true }));
  expect(data.encoding.inputs[0].encoders.map(({ column, type }) => `${column} ${type}`)).toEqual([
    "x numeric",
    "x missing_indicator",
    "k categorical",
    "k missing_indicator",
    "z numeric",
  ]);
  expect(rowsOf(data)).toEqual([
    [5, 1, 0, 0, 2],
    [4, 0, 0, 1, 1],
    [5, 1, 1, 0, 2],
    [6, 0, 1, 0, 3],
  ]);
});

test("rows without a target are left out, however missing features are treated", async () => {
  const csv = "x,y\n1,1\n,2\n3,\n,\n5,5\n";
  const used = async (preprocess: Partial<DataSpec["preprocess"]>) =>
    (await encoded(csv, spec(preprocess, { validation: null }))).trainRows;
  expect([...(await used({ missing: "mean", missing_target: "drop_row" }))]).toEqual([0, 1, 4]);
  expect([...(await used({ missing: "drop_row", missing_target: "drop_row" }))]).toEqual([0, 4]);
  expect([...(await used({ missing: "drop_row" }))]).toEqual([0, 4]);
  // The mean is that of the rows that are left.
  const { encoding } = await encoded(csv, spec({ missing: "mean", missing_target: "drop_row" }, { validation: null }));
  expect(encoding.inputs[0].encoders[0]).toMatchObject({ fill: 3 });
});
