// Dates, booleans, and columns that a spec takes as another type.
import { expect, test } from "vitest";
import { checkData, viewedTable } from "../../../src/data/encode/check.ts";
import { encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import type { DataSpec, Preprocess } from "../../../src/data/encode/encoding.ts";
import { tableOf } from "../../../src/data/encode/viewed-file.ts";
import { dataset, dataSpec, encoded, rowsOf } from "../support.ts";

const plain = (given: Partial<DataSpec> = {}, preprocess: Partial<Preprocess> = {}) =>
  dataSpec({ ...given, preprocess: { numeric: "none", target: "none", ...preprocess } });

test("a date becomes year, month, day of the week, hour and days since 1970, all in UTC", async () => {
  const csv = [
    "day,y",
    "1970-01-01,0",
    "1969-12-31T18:00:00Z,1",
    "2024-02-29T23:59:59.999Z,2",
    "2024-03-01T00:30:00+01:00,3",
    "2026-11-29 13:00,4",
  ];
  const data = await encoded(csv.join("\n"), plain());
  expect(
    data.encoding.inputs[0].encoders.map((encoder) => "part" in encoder && `${encoder.column} ${encoder.part}`),
  ).toEqual(["day year", "day month", "day day_of_week", "day hour", "day elapsed_days"]);
  // By the calendar: 1970-01-01 was a Thursday, 2024-02-29 too, 2026-11-29 is a Sunday.
  const days = (2024 - 1970) * 365 + 13 + 31 + 28;
  expect(rowsOf(data)).toEqual([
    [1970, 1, 3, 0, 0],
    [1969, 12, 2, 18, -0.25],
    [2024, 2, 3, 23, Math.fround(days + (24 * 60 * 60 - 0.001) / (24 * 60 * 60))],
    [2024, 2, 3, 23, Math.fround(days + 23.5 / 24)],
    [2026, 11, 6, 13, Math.fround(20786 + 13 / 24)],
  ]);
});

test("each part of a date is scaled, filled and described as a number is", async () => {
  // Training rows: January, March, and none; row 0 validates.
  const csv = "day,y\n2030-06-01,0\n2020-01-06,1\n2022-03-08,2\n,3\n";
  const rule = { validation: { every: 100 } };
  const mean = await encoded(csv, dataSpec({ ...rule, preprocess: { missing: "mean", missing_indicator: true } }));
  expect(mean.encoding.inputs[0].encoders.slice(0, 2)).toMatchObject([
    {
      column: "day",
      type: "date",
      part: "year",
      scale: "standardize",
      mean: 2021,
      std: 1,
      min: 2020,
      max: 2022,
      fill: 2021,
    },
    { column: "day", type: "date", part: "month", mean: 2, std: 1, fill: 2 },
  ]);
  expect(mean.encoding.inputs[0].encoders[5]).toEqual({ column: "day", type: "missing_indicator" });
  expect(rowsOf(mean).map(([year, month, , , , missing]) => [year, month, missing])).toEqual([
    [9, 4, 0],
    [-1, -1, 0],
    [1, 1, 0],
    [0, 0, 1],
  ]);
  const dropped = await encoded(csv, dataSpec({ ...rule, preprocess: { missing: "drop_row" } }));
  expect([...dropped.trainRows]).toEqual([1, 2]);
});

test("a boolean feature is one of two classes, and a boolean target 1 where it is true", async () => {
  const csv = "paid,y\nNo,True\nYes,False\nYes,True\n";
  const data = await encoded(csv, plain(), "probability");
  expect(data.encoding.inputs[0].encoders).toEqual([
    { column: "paid", type: "categorical", classes: ["No", "Yes"], fill: null },
  ]);
  expect(rowsOf(data)).toEqual([
    [1, 0],
    [0, 1],
    [0, 1],
  ]);
  expect([...data.targets]).toEqual([1, 0, 1]);
  expect((await encoded(csv, plain(), "class")).target.classes).toEqual(["False", "True"]);
  // Also where all of them are.
  const sure = "x,y\n1,yes\n2,yes\n";
  expect([...(await encoded(sure, plain(), "probability")).targets]).toEqual([1, 1]);
  await expect(encoded(csv, plain(), "value")).rejects.toThrow(
    /"y", which is not numeric, but this loss needs numbers/,
  );
});

test("rows marked with true validate", async () => {
  const data = await encoded(
    "x,held_out,y\n1,false,1\n2,true,2\n3,false,3\n",
    plain({ validation: { column: "held_out" } }),
  );
  expect([[...data.trainRows], [...data.validRows], data.width]).toEqual([[0, 2], [1], 1]);
});

test("a date cannot be a target", async () => {
  const { content } = await dataset("x,y\n1,2024-01-01\n2,2024-01-02\n");
  for (const targets of ["class", "value", "probability"] as const)
    expect(checkData(tableOf(content), dataSpec(), targets)).toEqual([
      { pointer: "/data/target", message: 'names "y", which holds dates, but a target must be a number or a class' },
    ]);
});

test("a column is taken as another type, for the job alone", async () => {
  const csv = "rooms,code,y\n3,x,1\n2,y,2\n3,x,3\n";
  const data = await encoded(csv, plain({ columns: { rooms: "categorical", code: "ignore" } }));
  expect(data.encoding.inputs[0].encoders).toEqual([
    { column: "rooms", type: "categorical", classes: ["2", "3"], fill: null },
  ]);
  expect(rowsOf(data)).toEqual([
    [0, 1],
    [1, 0],
    [0, 1],
  ]);
  const asNumber = await encoded(
    "n,y\n1,a\n2,b\n",
    plain({ target: "n", columns: { y: "text" }, features: ["n"] }),
    "value",
  ).catch((error: Error) => error.message);
  expect(asNumber).toMatch(/names "n", the target/);
  const flag = await encoded(
    "x,flag\n1,1\n2,0\n3,1\n",
    plain({ target: "flag", columns: { flag: "boolean" } }),
    "probability",
  );
  expect([...flag.targets]).toEqual([1, 0, 1]);
});

test("cells that a view makes missing are counted, and are a fault by default", async () => {
  // Letters are texts, among which NA is a class; for a boolean it is a missing value.
  const csv = "flag,y\nt,1\nNA,2\nt,3\nNA,4\nf,5\n";
  const { files, content } = await dataset(csv);
  expect(content.columns[0]).toMatchObject({ type: "categorical", missing: 0, classes: ["NA", "f", "t"] });
  const path = files.columnsPath(content);
  const data = (missing: Preprocess["missing"]) => plain({ columns: { flag: "boolean" } }, { missing });
  const { table, faults } = viewedTable(content, data("error"));
  expect([faults, table.columns[0].type]).toEqual([[], "boolean"]);
  const message = expect.stringMatching(/^names "flag", whose value is missing in 2 of 5 rows/);
  expect(await measure(path, data("error"), "value")).toEqual({ faults: [{ pointer: "/data/features", message }] });
  const filled = await encode(path, data("most_frequent"), "value");
  expect(filled.encoding.inputs[0].encoders).toEqual([
    { column: "flag", type: "categorical", classes: ["f", "t"], fill: "t" },
  ]);
  expect(rowsOf(filled.data).map(([f, t]) => [f, t])).toEqual([
    [0, 1],
    [0, 1],
    [0, 1],
    [0, 1],
    [1, 0],
  ]);
  expect([...(await encode(path, data("drop_row"), "value")).data.trainRows]).toEqual([0, 2, 4]);
});

test("features without a value among the training rows are named", async () => {
  const { files, content } = await dataset("a,k,b,y\n1,x,,1\n2,,,2\n,,5,3\n3,z,6,4\n");
  const data = dataSpec({ preprocess: { missing: "mean" }, validation: { tail: 0.5 } });
  expect(await measure(files.columnsPath(content), data, "value")).toMatchObject({ sizes: { empty: ["b"] } });
});
