import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { parseDecimal } from "../../../src/data/columns/cell-number.ts";
import { FirstColumn } from "../../../src/data/columns/first-column.ts";
import { seededColumns } from "./seeded-cells.ts";

function column(cells: readonly string[]) {
  const builder = new FirstColumn("c");
  for (const cell of cells) builder.add(cell);
  const { summary, values } = builder.finish();
  return { ...summary, values: values && [...values] };
}

const numbered = (count: number, cell: (i: number) => string) => Array.from({ length: count }, (_, i) => cell(i));

test.each([
  ["1", 1],
  ["-0.5", -0.5],
  ["+.5", 0.5],
  ["1.", 1],
  ["6.02e23", 6.02e23],
  ["1E-3", 0.001],
  [" \t7 ", 7],
  ["1e-999", 0],
  ["0123", 123],
])("%j is a decimal number", (cell, value) => {
  expect(parseDecimal(cell)).toBe(value);
});

test.each([
  "",
  " ",
  ".",
  "-",
  "e5",
  "1e",
  "0x10",
  "0b1",
  "1_000",
  "1,5",
  "1 2",
  "NaN",
  "Infinity",
  "-inf",
  "1e999",
  "١",
  "1\u00a0",
  "1\n",
])("%j is none", (cell) => {
  expect(parseDecimal(cell)).toBeNaN();
});

test("a long cell that is no number is refused in linear time", () => {
  // Else it would take minutes.
  expect(parseDecimal(`${"1".repeat(2_000_000)}x`)).toBeNaN();
});

test("a column of numbers has its range, mean and distinct values in numeric order", () => {
  expect(column(["10", "9", "", "1.0", "1", "-0"])).toEqual({
    name: "c",
    type: "numeric",
    missing: 1,
    min: -0,
    max: 10,
    mean: 4.2,
    classes: ["0", "1", "9", "10"],
    all_different: false,
    reason: null,
    values: [10, 9, NaN, 1, 1, -0],
  });
});

test("one cell that is not a number makes a column categorical, with classes in the order of their bytes", () => {
  // U+FF5E comes before U+1F600 in bytes, and after it in UTF-16.
  expect(column(["b", "10", "", "9", "😀", "b", "～", "B"])).toEqual({
    name: "c",
    type: "categorical",
    missing: 1,
    min: null,
    max: null,
    mean: null,
    classes: ["10", "9", "B", "b", "～", "😀"],
    all_different: false,
    reason: null,
    values: [3, 0, 0xffff, 1, 5, 3, 4, 2],
  });
});

test("a cell of spaces is neither empty nor a number", () => {
  expect(column(["1", " "])).toMatchObject({ type: "categorical", missing: 0, classes: [" ", "1"] });
});

test("a column of empty cells is numeric without values", () => {
  expect(column(["", ""])).toMatchObject({
    type: "numeric",
    missing: 2,
    min: null,
    max: null,
    mean: null,
    classes: [],
  });
});

test("classes are listed up to 1,000", () => {
  expect(column(numbered(1000, String)).classes).toHaveLength(1000);
  expect(column(numbered(1001, String)).classes).toBeNull();
  expect(column(numbered(1000, (i) => `c${i}`)).classes).toHaveLength(1000);
  expect(column(numbered(1001, (i) => `c${i}`))).toMatchObject({ type: "categorical", classes: null, values: null });
});

test("distinct values count, not spellings", () => {
  const cells = numbered(3000, (i) => `${i % 3}.${"0".repeat(i % 1001)}`);
  expect(column(cells)).toMatchObject({ type: "numeric", classes: ["0", "1", "2"], values: cells.map(Number) });
});

test("numbers beyond the dictionary keep their values, and empty cells their places", () => {
  const cells = numbered(5000, (i) => (i % 7 === 0 ? "" : String(i / 8)));
  const values = cells.map((cell) => (cell === "" ? NaN : Number(cell)));
  expect(column(cells)).toMatchObject({
    type: "numeric",
    missing: 715,
    min: 1 / 8,
    max: 4999 / 8,
    classes: null,
    values,
  });
});

test("a column whose text comes late is categorical", () => {
  expect(column([...numbered(1001, String), "", "x", "1"])).toMatchObject({
    type: "categorical",
    missing: 1,
    classes: null,
    values: null,
  });
});

test("a long cell is not a class", () => {
  expect(column(["x".repeat(256), "y"]).classes).toHaveLength(2);
  expect(column(["x".repeat(257), "y"])).toMatchObject({ type: "categorical", classes: null, values: null });
});

test("the columns are the same, to the last bit, as before readings were recorded", () => {
  const hash = createHash("sha256");
  for (const cells of seededColumns(1, 200)) {
    const { values, all_different, ...summary } = column(cells);
    expect(all_different).toBe(false);
    hash.update(JSON.stringify(summary));
    if (values !== null) hash.update(summary.type === "numeric" ? new Float64Array(values) : new Uint16Array(values));
  }
  // Computed by the code of that time.
  expect(hash.digest("hex")).toBe("cb1b0c9399df106c234133dc017a1084fc573da0af62a839308f84bdcf96a1e9");
});
