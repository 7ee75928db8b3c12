import { expect, test } from "vitest";
import { checkData, checkSizes } from "../../../src/data/encode/check.ts";
import type { TableColumn } from "../../../src/data/dataset.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { FIRST_READING } from "../../../src/data/reading.ts";
import { dataSpec } from "../support.ts";

const numeric = (name: string, given: Partial<TableColumn> = {}): TableColumn => ({
  name,
  type: "numeric",
  missing: 0,
  min: 0,
  max: 2,
  mean: 1,
  classes: ["0", "1", "2"],
  all_different: false,
  reason: null,
  ...given,
});
const categorical = (name: string, given: Partial<TableColumn> = {}): TableColumn => ({
  name,
  type: "categorical",
  missing: 0,
  min: null,
  max: null,
  mean: null,
  classes: ["a", "b"],
  all_different: false,
  reason: null,
  ...given,
});
const table = (...columns: TableColumn[]) => ({ rows: 10, columns, reading: FIRST_READING });

test("a spec that fits has no faults", () => {
  const fitting = table(numeric("x"), categorical("k"), numeric("y"));
  expect(checkData(fitting, dataSpec({ validation: { every: 2 } }), "class")).toEqual([]);
  expect(checkData(fitting, dataSpec({ features: ["k"], validation: { fraction: 0.5, seed: 0 } }), "value")).toEqual(
    [],
  );
  expect(checkData(fitting, dataSpec({ validation: { column: "x" } }), "value")).toEqual([]);
});

test("all missing columns are reported at once", () => {
  const faults = checkData(
    table(numeric("x")),
    dataSpec({ features: ["x", "z"], validation: { column: "v" } }),
    "value",
  );
  expect(faults.map(({ pointer }) => pointer)).toEqual(["/data/target", "/data/features/1", "/data/validation/column"]);
  expect(faults[1].message).toBe('names "z", and the dataset has only "x"');
});

test("features are neither the target nor named twice", () => {
  const faults = checkData(table(numeric("x"), numeric("y")), dataSpec({ features: ["x", "y", "x"] }), "value");
  expect(faults).toEqual([
    { pointer: "/data/features/1", message: 'names "y", the target; leave it out' },
    { pointer: "/data/features/2", message: 'names "x" a second time' },
  ]);
});

test("missing values are a fault, and the remedies are named", () => {
  const withGaps = table(numeric("x", { missing: 3 }), categorical("k", { missing: 1 }), numeric("y", { missing: 2 }));
  const faults = (preprocess: Partial<DataSpec["preprocess"]>, features: string[] | null = null) =>
    checkData(withGaps, dataSpec({ features, preprocess }), "value");
  const instead = "/data/preprocess/missing can be";
  const exclude = "; /data/exclude can leave the column out";
  expect(faults({})).toEqual([
    {
      pointer: "/data/target",
      message:
        'names "y", whose value is missing in 2 of 10 rows; /data/preprocess/missing_target can be "drop_row", which leaves these rows out',
    },
    {
      pointer: "/data/features",
      message: `names "x", whose value is missing in 3 of 10 rows; ${instead} "mean", "median" or "most_frequent" (of the training rows), or "drop_row"${exclude}`,
    },
    {
      pointer: "/data/features",
      message: `names "k", whose value is missing in 1 of 10 rows; ${instead} "most_frequent" (of the training rows), "mean" or "median" (both leave the inputs of its classes 0), or "drop_row"${exclude}`,
    },
  ]);
  expect(faults({ missing_target: "drop_row" }, ["k"])).toEqual([
    { pointer: "/data/features/0", message: expect.stringMatching(/^names "k".*, or "drop_row"$/) },
  ]);
  for (const missing of ["mean", "median", "most_frequent"] as const) {
    expect(faults({ missing }).map(({ pointer }) => pointer)).toEqual(["/data/target"]);
    expect(faults({ missing, missing_target: "drop_row" })).toEqual([]);
  }
  expect(faults({ missing: "drop_row" })).toEqual([]);
});

test("a column without values is a fault", () => {
  const empty = numeric("x", { missing: 10, min: null, max: null, mean: null, classes: [] });
  const faults = checkData(table(empty, numeric("y")), dataSpec({ preprocess: { missing: "mean" } }), "value");
  expect(faults).toEqual([
    { pointer: "/data/features", message: expect.stringMatching(/^names "x", which has no values at all/) },
  ]);
});

test.each([
  ["class", numeric("y", { classes: null }), /too many distinct values/],
  ["class", categorical("y", { classes: null }), /too many distinct values/],
  ["class", numeric("y", { classes: ["1", "2.5"] }), /such as 2\.5/],
  ["value", categorical("y"), /not numeric/],
  ["probability", categorical("y"), /not numeric/],
  ["probability", numeric("y", { min: -1, max: 1 }), /from -1 to 1;/],
  ["probability", numeric("y", { max: 1.5 }), /from 0 to 1\.5/],
  ["count", numeric("y", { min: -1 }), /from -1 to 2; this loss needs them to be at least 0/],
  ["sign", numeric("y", { min: -1, classes: ["-1", "0", "1"] }), /needs them to be −1 or 1/],
  ["value", numeric("y", { max: 1e200 }), /beyond ±1e\+150/],
] as const)("a %s target refuses %j", (targets, column, message) => {
  const faults = checkData(table(numeric("x"), column), dataSpec(), targets);
  expect(faults).toEqual([{ pointer: "/data/target", message: expect.stringMatching(message) }]);
});

test("numbers that a loss takes as they are cannot be standardised", () => {
  const spec = dataSpec({ preprocess: { target: "standardize" } });
  const signs = numeric("y", { min: -1, max: 1, classes: ["-1", "1"] });
  for (const targets of ["count", "sign", "number"] as const) {
    const y = targets === "sign" ? signs : numeric("y");
    expect(checkData(table(numeric("x"), y), dataSpec(), targets)).toEqual([]);
    const message = expect.stringMatching(/takes as they are; \/data\/preprocess\/target can be "none"/);
    expect(checkData(table(numeric("x"), y), spec, targets)).toEqual([{ pointer: "/data/target", message }]);
  }
});

test("a target of classes may have names, and a target of probabilities may be 0 and 1", () => {
  expect(checkData(table(numeric("x"), categorical("y")), dataSpec(), "class")).toEqual([]);
  expect(checkData(table(numeric("x"), numeric("y", { max: 1 })), dataSpec(), "probability")).toEqual([]);
});

test("a feature with too many classes is a fault; a number that has many is none", () => {
  const columns = table(categorical("k", { classes: null }), numeric("x", { classes: null }), numeric("y"));
  expect(checkData(columns, dataSpec(), "value")).toEqual([
    { pointer: "/data/features", message: expect.stringMatching(/"k", which is not numeric and has too many/) },
  ]);
});

test("numbers that are too large for the arithmetic are faults", () => {
  const columns = table(numeric("x", { min: -1e39 }), numeric("y"));
  expect(checkData(columns, dataSpec(), "value")).toEqual([]);
  expect(checkData(columns, dataSpec({ preprocess: { numeric: "none" } }), "value")).toHaveLength(1);
});

test("a validation column is numeric, and not the target", () => {
  const columns = table(numeric("x"), categorical("k"), numeric("y"));
  const messages = (column: string) =>
    checkData(columns, dataSpec({ features: ["x"], validation: { column } }), "value").map(({ message }) => message);
  expect(messages("k")).toEqual(['names "k", which is not numeric: it must hold 1 in the rows that are chosen']);
  expect(messages("y")).toEqual(['names "y", the target; name another column']);
});

test("both sides of the split need rows", () => {
  const columns = table(numeric("x"), numeric("y"));
  const messages = (validation: { every: number } | { fraction: number; seed: number }) =>
    checkData(columns, dataSpec({ validation }), "value");
  expect(messages({ every: 1 })).toEqual([{ pointer: "/data/validation", message: "leaves no rows to train on" }]);
  expect(messages({ fraction: 0.01, seed: 0 })).toEqual([
    { pointer: "/data/validation", message: "leaves no rows to validate on" },
  ]);
  expect(messages({ fraction: 0.99, seed: 0 })).toEqual([
    { pointer: "/data/validation", message: "leaves no rows to train on" },
  ]);
});

test("some faults only show once the rows are counted", () => {
  const spec = dataSpec({ validation: { column: "v" } });
  expect(checkSizes({ train: 1, valid: 1, test: 0, width: 1 }, spec)).toEqual([]);
  expect(checkSizes({ train: 1, valid: 0, test: 0, width: 1 }, spec)).toHaveLength(1);
  expect(checkSizes({ train: 0, valid: 0, test: 0, width: 0 }, dataSpec())).toEqual([
    { pointer: "/data/preprocess/missing", message: "leaves no rows to train on" },
  ]);
  expect(checkSizes({ train: 1, valid: 0, test: 0, width: 0 }, dataSpec())[0].pointer).toBe("/data/features");
  const tested = dataSpec({ test: { tail: 0.5 } });
  expect(checkSizes({ train: 0, valid: 0, test: 1, width: 0 }, tested)).toEqual([
    { pointer: "/data/test", message: "leaves no rows to train on" },
  ]);
  expect(checkSizes({ train: 1, valid: 0, test: 0, width: 1 }, tested)).toEqual([
    { pointer: "/data/test", message: "leaves no rows to test on" },
  ]);
});
