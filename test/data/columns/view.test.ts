import { expect, test } from "vitest";
import { TableColumns } from "../../../src/data/columns/table-columns.ts";
import { FIRST_READING, READER_VERSION, type DeclaredType, type Reading } from "../../../src/data/reading.ts";
import { viewColumn } from "../../../src/data/columns/view.ts";

const READING: Reading = { ...FIRST_READING, version: READER_VERSION, missing_values: null };

/** A column as a file with it alone would be recorded. */
function recorded(cells: readonly string[], declared: DeclaredType | null = null) {
  const columns = new TableColumns(["c"], {
    version: READER_VERSION,
    decimal: null,
    missingValues: null,
    types: declared === null ? {} : { c: declared },
  });
  for (const [i, cell] of cells.entries()) columns.add([cell], i + 2);
  columns.settle();
  return columns.finish()[0];
}

function view(cells: readonly string[], type: DeclaredType, declared: DeclaredType | null = null, reading = READING) {
  const { summary, values } = recorded(cells, declared);
  const viewed = viewColumn(summary, type, reading);
  if ("fault" in viewed) return viewed.fault;
  const converted = viewed.convert(values);
  return { ...viewed.summary, values: converted && Array.from(converted) };
}

const day = (date: string) => Date.parse(`${date}T00:00:00Z`);

test("numbers become classes, as they would on upload", () => {
  expect(view(["10", "9.50", "", "10"], "categorical")).toEqual({
    name: "c",
    type: "categorical",
    missing: 1,
    min: null,
    max: null,
    mean: null,
    classes: ["10", "9.5"],
    all_different: false,
    reason: null,
    values: [0, 1, 0xffff, 0],
  });
});

test("classes become numbers", () => {
  expect(view(["007", "12", "NA", "7"], "numeric")).toEqual({
    name: "c",
    type: "numeric",
    missing: 1,
    min: 7,
    max: 12,
    mean: null,
    classes: ["7", "12"],
    all_different: false,
    reason: null,
    values: [7, 12, NaN, 7],
  });
  expect(view(["$1", "$2.50"], "numeric", "categorical")).toMatchObject({ values: [1, 2.5] });
  expect(view(["7", "abc"], "numeric")).toBe(
    'is numeric, but "abc" is no number, as "7" is. If it means a missing value, ' +
      'upload the file with ?missing_values=["abc"], and what else is missing in it',
  );
});

test("the decimal mark is that of the file", () => {
  const comma: Reading = { ...READING, decimal: ",", decimal_proved: true };
  expect(view(["1,5", "1.234"], "numeric", "categorical", comma)).toMatchObject({ values: [1.5, 1234] });
  expect(view(["1,5", "2"], "numeric", "categorical")).toContain("decimal comma");
  const point: Reading = { ...READING, decimal_proved: true };
  expect(view(["1,5", "2"], "numeric", "categorical", point)).toContain("the file is read with a decimal point");
  // Whether the comma groups thousands is known only where the point is proved.
  expect(view(["1,234"], "numeric")).toContain("?decimal=");
  expect(view(["1,234"], "numeric", "categorical", { ...READING, decimal_proved: true })).toMatchObject({
    values: [1234],
  });
});

test("classes and integers become dates, and dates become classes", () => {
  const dates = [day("2024-01-31"), day("2024-02-01"), NaN];
  expect(view(["20240131", "20240201", ""], "date")).toMatchObject({ type: "date", missing: 1, values: dates });
  expect(view(["2024-01-31", "2024-02-01", ""], "date", "categorical")).toMatchObject({ values: dates });
  expect(view(["01/02/2024"], "date")).toContain("Write dates like 2024-01-31");
  expect(view(["2024-02-01", "2024-01-31", ""], "categorical")).toMatchObject({
    type: "categorical",
    classes: ["2024-01-31", "2024-02-01"],
    values: [1, 0, 0xffff],
  });
  expect(view(["2024-01-31"], "numeric")).toBe("is numeric, but the column holds dates");
});

test("words and 0 and 1 become booleans, and booleans become classes", () => {
  expect(view(["Y", "N", "NA", "Y"], "boolean")).toMatchObject({
    type: "boolean",
    missing: 1,
    classes: ["N", "Y"],
    values: [1, 0, 0xffff, 1],
  });
  expect(view(["1", "0", "1.0"], "boolean")).toMatchObject({ classes: ["0", "1"], values: [1, 0, 1] });
  expect(view(["2", "0"], "boolean")).toContain("neither true nor false");
  expect(view(["yes", "no"], "categorical")).toMatchObject({
    type: "categorical",
    classes: ["no", "yes"],
    values: [1, 0],
  });
});

test("a view that needs unlisted classes suggests another upload if that helps", () => {
  const cells = Array.from({ length: 1500 }, (_, i) => `0${i}`);
  expect(view(cells, "numeric")).toBe(
    'is numeric, but the values of the column are not listed; upload the file with ?columns={"c":"numeric"}',
  );
  expect(
    view(
      cells.map((_, i) => `${i}.5`),
      "categorical",
    ),
  ).toBe("is categorical, but the column has too many values to be classes");
});

test("the same type and ignore change nothing, and text drops classes and values", () => {
  const { summary, values } = recorded(["1", "2"]);
  for (const type of ["numeric", "ignore"] as const) {
    const viewed = viewColumn(summary, type, READING);
    expect("fault" in viewed ? viewed : [viewed.summary, viewed.convert(values)]).toEqual([summary, values]);
  }
  expect(view(["1", "2"], "text")).toMatchObject({ type: "categorical", classes: null, min: null, values: null });
});

test("columns of the first version of the reader are viewed by its rules", () => {
  // There `NA` was a class, and it was no token.
  const summary = { ...recorded(["a"]).summary, classes: ["5", "NA"] };
  expect(viewColumn(summary, "numeric", FIRST_READING)).toEqual({
    fault: expect.stringContaining('"NA" is no number'),
  });
});
