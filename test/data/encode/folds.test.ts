import { expect, test } from "vitest";
import { foldSize, groupsInFold, inFold, stratifiedInFold } from "../../../src/data/encode/draw.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { splitRows } from "../../../src/data/encode/split.ts";
import { ViewedFile } from "../../../src/data/encode/viewed-file.ts";
import { dataset, dataSpec } from "../support.ts";

const upTo = (length: number) => Array.from({ length }, (_, row) => row);
const rule = (folds: number, fold: number, seed = 0) => ({ folds, fold, seed });
const counts = (values: readonly number[], rows: Int32Array) => {
  const found = new Map<number, number>();
  for (const row of rows) found.set(values[row], (found.get(values[row]) ?? 0) + 1);
  return found;
};

test.each([
  [10, 3],
  [100, 7],
  [7, 7],
  [3, 5],
])("%i rows are cut into %i folds that differ by one row at most", (rows, folds) => {
  const all = upTo(folds).map((fold) => [...inFold(rows, rule(folds, fold, 5))]);
  expect(all.flat().toSorted((a, b) => a - b)).toEqual(upTo(rows));
  expect(all.map(({ length }) => length)).toEqual(upTo(folds).map((fold) => foldSize(rows, { folds, fold })));
  for (const fold of all) expect(fold).toEqual(fold.toSorted((a, b) => a - b));
});

test("the seed says which rows a fold has", () => {
  expect([...inFold(10, rule(3, 0, 0))]).not.toEqual([...inFold(10, rule(3, 0, 1))]);
  // Results must not change with a later version.
  expect(upTo(3).map((fold) => [...inFold(10, rule(3, fold, 0))])).toMatchInlineSnapshot(`
    [
      [
        0,
        1,
        3,
        9,
      ],
      [
        4,
        6,
        7,
      ],
      [
        2,
        5,
        8,
      ],
    ]
  `);
});

test("each stratified fold has its share of each class, of missing ones too", () => {
  const classes = upTo(103).map((row) => (row % 10 === 0 ? Number.NaN : row % 3));
  const rows = Int32Array.from(upTo(103)).subarray(3);
  const all = upTo(4).map((fold) => stratifiedInFold(classes, rows, rule(4, fold, 9)));
  expect(all.flatMap((fold) => [...fold]).toSorted((a, b) => a - b)).toEqual([...rows]);
  expect(all.map(({ length }) => length)).toEqual([25, 25, 25, 25]);
  const whole = counts(classes, rows);
  for (const fold of all)
    for (const [label, count] of counts(classes, fold))
      expect(Math.abs(count - whole.get(label)! / 4)).toBeLessThanOrEqual(1);
});

test("groups stay together, and folds have nearly as many rows", () => {
  const groups = upTo(200).map((row) => Math.floor(Math.sqrt(row)));
  const rows = Int32Array.from(upTo(200));
  const all = upTo(5).map((fold) => groupsInFold(groups, rows, rule(5, fold, 1)));
  expect(all.flatMap((fold) => [...fold]).toSorted((a, b) => a - b)).toEqual([...rows]);
  const seen = all.map((fold) => [...counts(groups, fold).keys()]);
  expect(new Set(seen.flat()).size).toBe(seen.flat().length);
  const sizes = all.map(({ length }) => length);
  // The largest group has 27 rows.
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(27);
  const equal = Int32Array.from(upTo(12));
  const even = upTo(3).map((fold) => groupsInFold(upTo(12), equal, rule(3, fold, 1)).length);
  expect(even).toEqual([4, 4, 4]);
});

test("a fold validates of the rows that the test leaves, by class or by group", async () => {
  const csv = ["x,kind,y", ...upTo(40).map((i) => `${i},${i % 4 === 0 ? "a" : "b"},${i % 5}`)].join("\n");
  const { files, content } = await dataset(csv);
  const split = async (validation: DataSpec["validation"], target = "y") => {
    const data = dataSpec({ target, validation, test: { tail: 0.25 } });
    return await ViewedFile.with(files.columnsPath(content), data, (file) => splitRows(file, data));
  };
  for (const [validation, target] of [
    [rule(5, 2), "y"],
    [{ ...rule(5, 2), stratify: true }, "kind"],
    [{ ...rule(5, 2), group: "y" }, "x"],
  ] as const) {
    const { train, valid, test: held } = await split(validation, target);
    expect([...held]).toEqual(upTo(40).slice(30));
    expect([...train, ...valid].toSorted((a, b) => a - b)).toEqual(upTo(30));
    expect(valid).toHaveLength(6);
  }
  const { valid } = await split({ ...rule(5, 2), group: "y" }, "x");
  expect(new Set([...valid].map((row) => row % 5)).size).toBe(1);
});
