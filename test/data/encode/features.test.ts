import { expect, test } from "vitest";
import { checkData, viewedTable } from "../../../src/data/encode/check.ts";
import type { TableColumn } from "../../../src/data/dataset.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { featuresOf, type TableSummary } from "../../../src/data/encode/features.ts";
import { FIRST_READING, type Reading } from "../../../src/data/reading.ts";
import { dataWarnings } from "../../../src/data/encode/warn.ts";
import { dataSpec } from "../support.ts";

const column = (name: string, given: Partial<TableColumn> = {}): TableColumn => ({
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
const categorical = (name: string, given: Partial<TableColumn> = {}) =>
  column(name, { type: "categorical", min: null, max: null, mean: null, classes: ["a", "b"], ...given });

const reading: Reading = { ...FIRST_READING, version: 2, missing_values: null };
const tableOf = (columns: TableColumn[], types: Reading["columns"] = {}): TableSummary => ({
  rows: 30,
  columns,
  reading: { ...reading, columns: types },
});
const faultsOf = (table: TableSummary, data: DataSpec) =>
  checkData(table, data, "value").map(({ pointer, message }) => `${pointer} ${message}`);
const sizes = {
  train: 24,
  valid: 6,
  test: 0,
  width: 1,
  inputs: [{ name: "features", shape: [1], type: "float32" }],
  targetShape: [],
  encodedBytes: null,
  tokens: null,
  unknown: [],
  untrained: [],
  empty: [],
  trained: null,
  validated: null,
} as const;

test("default features leave out columns that are used elsewhere, declared ignore or text, excluded, or all different", () => {
  const names = ["x", "y", "v", "t", "g", "ignored", "text", "excluded", "z"];
  const columns = [...names.map((name) => column(name)), categorical("id", { all_different: true })];
  const table = tableOf(columns, { ignored: "ignore", text: "text", z: "ignore", v: "numeric" });
  const given: Partial<DataSpec> = {
    exclude: ["excluded"],
    validation: { column: "v" },
    test: { column: "t" },
    columns: { z: "numeric" },
  };
  expect(featuresOf(table, dataSpec(given))).toEqual(["x", "g", "z"]);
  const grouped = { validation: null, test: { group: "g", fraction: 0.2, seed: 0 } };
  expect(featuresOf(table, dataSpec({ ...given, ...grouped }))).toEqual(["x", "v", "t", "z"]);
  expect(featuresOf(table, dataSpec({ columns: { x: "ignore", g: "text" } }))).not.toContain("x");
  expect(featuresOf(table, dataSpec({ columns: { x: "ignore", g: "text" } }))).not.toContain("g");
  const listed = ["id", "ignored"];
  expect(featuresOf(table, dataSpec({ features: listed }))).toEqual(listed);
  expect(faultsOf(table, dataSpec({ features: listed }))).toEqual([]);
});

test("a table without a default feature is refused", () => {
  const table = tableOf([categorical("id", { all_different: true }), column("y")]);
  expect(faultsOf(table, dataSpec())).toEqual([
    "/data/features must list columns, because no column is a feature by default; texts take /data/text",
  ]);
});

test("only an existing column that is neither target nor feature can be excluded", () => {
  const table = tableOf([column("x"), column("z"), column("y")]);
  expect(faultsOf(table, dataSpec({ exclude: ["y", "nothing", "z"] }))).toEqual([
    '/data/exclude/0 names "y", the target; leave it out',
    '/data/exclude/1 names "nothing", and the dataset has only "x", "z", "y"',
  ]);
  expect(faultsOf(table, dataSpec({ features: ["x"], exclude: ["z", "x"] }))).toEqual([
    '/data/exclude/1 names "x", which is one of /data/features: remove it there, or set /data/features to null',
  ]);
});

test("columns are converted to a declared type, or the reason why not is given", () => {
  const table = tableOf([column("x"), categorical("a/b~c"), categorical("n", { classes: null }), column("y")]);
  const seen = (columns: DataSpec["columns"]) => viewedTable(table, dataSpec({ columns }));
  expect(seen({ x: "categorical" }).table.columns[0]).toMatchObject({ type: "categorical", classes: ["0", "1", "2"] });
  expect(seen({}).table).toEqual(table);
  expect(seen({ nothing: "date", "a/b~c": "numeric", n: "categorical" }).faults.map(({ pointer }) => pointer)).toEqual([
    "/data/columns/a~1b~0c",
    "/data/columns/nothing",
  ]);
  // What is declared text has no classes, and is no feature.
  const { table: viewed } = seen({ x: "text" });
  expect(faultsOf(viewed, dataSpec({ features: ["x"], columns: { x: "text" } }))).toEqual([
    '/data/features/0 names "x", which is declared text',
  ]);
});

test("silent choices get warnings", () => {
  const reason = { line: 7, cell: "1,5", message: '"1,5" is no number.' };
  const table = tableOf(
    [
      categorical("price", { reason }),
      categorical("unused", { reason }),
      categorical("country", { classes: ["DE", "NA", "None"] }),
      categorical("id", { all_different: true }),
      column("index"),
      column("mine"),
      categorical("label", { classes: ["cat", "dog", "emu"] }),
    ],
    { index: "ignore", mine: "ignore" },
  );
  const data = dataSpec({ target: "label", exclude: ["unused"], validation: { tail: 0.2 } });
  expect(dataWarnings(table, data, { ...sizes, untrained: ["dog", "emu"] })).toEqual([
    {
      pointer: "/data/features",
      code: "numbers_as_text",
      message: 'takes "price" as text: in line 7, "1,5" is no number',
    },
    {
      pointer: "/data/features",
      code: "missing_as_class",
      message:
        'takes "NA", "None" of "country" as a class; if it means a missing value, upload the file with ?missing_values=["NA","None"], and what else is missing in it',
    },
    {
      pointer: "/data/features",
      code: "unique_column",
      message: 'leaves out "id", whose values are nearly all different; list it in /data/features to use it',
    },
    {
      pointer: "/data/features",
      code: "index_column",
      message: 'leaves out "index", a column without a name that numbers the rows; list it in /data/features to use it',
    },
    {
      pointer: "/data/validation",
      code: "untrained_class",
      message: 'leaves the classes "dog", "emu" of "label" without a row to train on',
    },
  ]);
});

test("a header that could be a row gets a warning, unless a name is not a value of its column", () => {
  const warned = (first: string, second: string, header = true) => {
    const table = tableOf([column(first), categorical(second, { classes: ["Iris-setosa", "Iris-virginica"] })], {});
    const read = { ...table, reading: { ...table.reading, header } };
    return dataWarnings(read, dataSpec({ target: second }), sizes).map(({ code }) => code);
  };
  expect(warned("5.1", "Iris-setosa")).toEqual(["header_of_values"]);
  expect(warned("5.1", "Iris-setosa", false)).toEqual([]);
  expect(warned("5.1", "species")).toEqual([]);
  expect(warned("length", "Iris-setosa")).toEqual([]);
});

test("a doubtful decimal mark and a feature without values get warnings", () => {
  const reason = { line: 2, cell: "1.234", message: "It could be a thousand." };
  const table = tableOf([{ ...column("x"), reason }, column("y")]);
  expect(dataWarnings(table, dataSpec(), { ...sizes, empty: ["x"] })).toEqual([
    {
      pointer: "/data/features",
      code: "unproved_mark",
      message: 'takes "x" as numbers: in line 2, It could be a thousand',
    },
    {
      pointer: "/data/features",
      code: "untrained_feature",
      message: 'uses "x", which has no value in any row that trains: nothing can be learned from it',
    },
  ]);
});

test("explicit choices get no warnings", () => {
  const country = categorical("country", { classes: ["DE", "NA"] });
  const id = categorical("id", { all_different: true });
  const warned = (given: Partial<DataSpec>, missing_values: string[] | null = null) => {
    const table = tableOf([country, id, column("index"), column("y")], { index: "ignore" });
    const read = { ...table, reading: { ...table.reading, missing_values } };
    return dataWarnings(read, dataSpec(given), sizes).map(({ code }) => code);
  };
  expect(warned({})).toEqual(["missing_as_class", "unique_column", "index_column"]);
  expect(warned({}, ["?"])).toEqual(["unique_column", "index_column"]);
  expect(warned({ exclude: ["id", "country", "index"] })).toEqual([]);
  expect(warned({ columns: { index: "ignore", id: "ignore" } })).toEqual(["missing_as_class"]);
  expect(warned({ features: ["country", "id", "index"] })).toEqual(["missing_as_class"]);
});
