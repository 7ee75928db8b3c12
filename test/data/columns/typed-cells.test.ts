/** Each kind of cell, in columns as they are read. */
import { describe, expect, test } from "vitest";

import { column, day, declared, expectText, many, read, type Cells } from "./support.ts";

describe("missing cells", () => {
  test.each([
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
    "?",
    "-",
    ".",
    " ",
  ])("%j is missing among numbers, dates and booleans, and alone", (token) => {
    expect(column(["1", token, "2.5"])).toMatchObject({ type: "numeric", missing: 1, values: [1, NaN, 2.5] });
    expect(column([token, "2024-01-31"])).toMatchObject({ type: "date", missing: 1, values: [NaN, day("2024-01-31")] });
    expect(column(["yes", token, "no"])).toMatchObject({ type: "boolean", missing: 1, values: [1, 0xffff, 0] });
    expect(column(["007", token])).toMatchObject({ type: "categorical", missing: 1, classes: ["007"] });
    expect(column([token, token])).toMatchObject({ type: "numeric", missing: 2, classes: [], min: null, mean: null });
    expect(column(many(2000, (i) => (i % 2 ? `${i}.5` : token)))).toMatchObject({ type: "numeric", missing: 1000 });
  });

  test("among texts NA and None are classes, and other tokens are missing", () => {
    expect(column(["NA", "US", "None", "?", "null"])).toMatchObject({ missing: 2, classes: ["NA", "None", "US"] });
    expect(column([...many(1500, (i) => `x${i}`), "NA", "?"])).toMatchObject({ classes: null, missing: 1 });
  });

  test("other words are not missing tokens", () => {
    expectText(["1", "na"], "na", '?missing_values=["na"]');
    expectText(["1", "missing"], "missing");
  });

  test("declared tokens take the place of the default, and hold in every column", () => {
    const options = { missingValues: ["-999", "US"] };
    expect(column(["-999", "5", ""], options)).toMatchObject({ type: "numeric", missing: 2, values: [NaN, 5, NaN] });
    expect(column(["NA", "US"], options)).toMatchObject({ missing: 1, classes: ["NA"] });
    expect(column(["NA", "5"], options)).toMatchObject({ type: "categorical", missing: 0 });
    expect(
      column(
        many(3000, (i) => (i % 3 ? String(i) : "-999")),
        options,
      ),
    ).toMatchObject({ min: 1, missing: 1000 });
    expect(column(["?", "5"], { missingValues: [] })).toMatchObject({ type: "categorical", missing: 0 });
  });

  test("the remedy for a cell names what was declared before, so that it can be followed", () => {
    const cells = ["5", "--", "NV", "7"];
    const remedy = (missingValues: string[]) => column(cells, { missingValues }).reason?.message;
    expect(remedy(["--"])).toContain('with "NV" added to ?missing_values=.');
    expect(remedy([])).toContain('with "--" added to ?missing_values=.');
    expectText(cells, "--", '?missing_values=["--"], and what else is missing in it.');
    expect(column(cells, { missingValues: ["--", "NV"] })).toMatchObject({ type: "numeric", missing: 2 });
  });

  test("tokens take no room among the 1,000 classes", () => {
    const words = many(1000, (i) => `w${i}`);
    expect(column([...words, "?", "NaN", "-"])).toMatchObject({ missing: 3, classes: { length: 1000 } });
    // Here NA is a class.
    expect(column([...words, "NA"]).classes).toBeNull();
    expect(column([...words, "other"]).classes).toBeNull();
  });
});

describe("integers that are names", () => {
  test("a leading zero, or more digits than a double holds, keeps the spellings", () => {
    expect(column(["7", "007"])).toMatchObject({ type: "categorical", classes: ["007", "7"] });
    expectText(["7", "007"], "007", '?columns={"c":"numeric"}');
    const ids = ["1234567890123456789", "1234567890123456788"];
    expect(column(ids)).toMatchObject({ type: "categorical", classes: ids.toSorted() });
    expectText(ids, ids[0], "no double-precision number holds exactly");
    expectText([...many(2000, String), "007"], "007");
  });

  test("fractions, exponents and integers that a double holds are numbers", () => {
    expect(column(["1.50", "0.1000", "00.5", "1e3", "0", "9007199254740992"])).toMatchObject({ type: "numeric" });
  });
});

describe("the decimal mark", () => {
  test.each<[string, Cells, number[]]>([
    [".", ["1.5", "2"], [1.5, 2]],
    [",", ["1,5", "2"], [1.5, 2]],
    [",", ["1.234,56", "1.234"], [1234.56, 1234]],
    [".", ["1,234.56", "1,234"], [1234.56, 1234]],
    [".", ["1,234,567", "1,234"], [1_234_567, 1234]],
    [",", ["1 234,5", "2 000"], [1234.5, 2000]],
    [".", ["1.234", "5.678"], [1.234, 5.678]],
    [".", ["1'000", "2"], [1000, 2]],
    [".", ["5", "6"], [5, 6]],
  ])("is %j in %j", (mark, cells, values) => {
    const { decimal, again, columns } = read({ c: cells });
    expect([decimal, again, columns.c.type, columns.c.values]).toEqual([mark, false, "numeric", values]);
  });

  test("has a reason if points could group thousands and no cell shows whether they do", () => {
    const doubt = (cells: Cells, options = {}) => column(cells, { pointMayGroup: true, ...options }).reason;
    expect(doubt(["7", "246.601"])).toMatchObject({ line: 3, cell: "246.601" });
    expect(doubt(["7", "246.601"], { pointMayGroup: false })).toBeNull();
    expect(doubt(["7", "246.601"], { decimal: "." })).toBeNull();
    expect(doubt(["7", "246.601", "0.5"])).toBeNull();
    expect(doubt(["7", "8"])).toBeNull();
  });

  test("is the same for the whole file: one column shows it for all", () => {
    const { columns } = read({ shows: ["1,5"], follows: ["1.234"], points: ["2.345.678"] });
    expect([columns.follows.values, columns.points.values]).toEqual([[1234], [2_345_678]]);
    expect(read({ shows: ["1.5"], follows: ["1,234"] }).columns.follows.values).toEqual([1234]);
  });

  test("is the point if both are shown, and the reason says where", () => {
    const { decimal, columns } = read({ comma: ["1,5", "2"], point: ["", "1.5"], both: ["1,5", "1.5"] });
    expect(decimal).toBe(".");
    expect(columns.point.type).toBe("numeric");
    expect(columns.comma).toMatchObject({
      type: "categorical",
      classes: ["1,5", "2"],
      reason: { line: 2, cell: "1,5" },
    });
    expect(columns.comma.reason?.message).toContain('"1.5" in line 3, column "point"');
    expect(columns.both.type).toBe("categorical");
  });

  test("is not shown by a column with other cells, with mixed cells, or declared as another type", () => {
    expect(read({ c: ["1,5", "x"], d: ["1.234", "2"] })).toMatchObject({
      decimal: ".",
      columns: { d: { values: [1.234, 2] } },
    });
    expectText(["1,5", "2.5"], "1,5", '"2.5" in line 3');
    expect(read({ c: ["1,5"] }, declared("categorical"))).toMatchObject({
      decimal: ".",
      columns: { c: { classes: ["1,5"] } },
    });
  });

  test("gives the same columns and reasons when it is found and when it is then given", () => {
    const both = { comma: ["1,5", "2"], point: ["", "1.5"] };
    expect(read(both, { decimal: "." })).toEqual(read(both));
    const comma = { comma: ["1,5", "2"], mixed: ["1,5", "1.5"] };
    expect(read(comma).columns.mixed.type).toBe("categorical");
    expect(read(comma, { decimal: "," })).toEqual(read(comma));
  });

  test("that no cell shows leaves 1,234 a text", () => {
    expectText(["5", "1,234"], "1,234", "?decimal=");
    expect(column(["1,234"], { decimal: "." }).values).toEqual([1234]);
    expect(column(["1,234"], { decimal: "," }).values).toEqual([1.234]);
    expect(column(["1.5"], { decimal: "," })).toMatchObject({ type: "categorical", reason: { cell: "1.5" } });
  });
});

describe("signs", () => {
  test("a percent sign or one currency throughout is dropped", () => {
    expect(column(["10%", "5 %", "-2.5%"]).values).toEqual([10, 5, -2.5]);
    expect(column(["$1.50", "-$3", "($4)"]).values).toEqual([1.5, -3, -4]);
    expect(column(["5 kr", "", "7 kr"]).values).toEqual([5, NaN, 7]);
    expect(column(["(5)", "6", "\u22127"]).values).toEqual([-5, 6, -7]);
  });

  test("mixed signs, or signs on some cells only, make texts", () => {
    expectText(["10%", "5"], "5", '"10%" in line 2');
    expectText(["$5", "€5"], "€5");
    expectText(["EUR 5", "€5"], "€5");
    expectText(["10%", "$5"], "$5");
    expectText([...many(1500, (i) => `$${i}`), "5"], "5");
  });
});

describe("dates", () => {
  test("of ISO 8601 are milliseconds since 1970, and listed as dates", () => {
    expect(column(["2024-02-01", "2024/01/31", "2024-01", "NA"])).toEqual({
      name: "c",
      type: "date",
      missing: 1,
      min: day("2024-01-01"),
      max: day("2024-02-01"),
      mean: (day("2024-02-01") + day("2024-01-31") + day("2024-01-01")) / 3,
      classes: ["2024-01-01", "2024-01-31", "2024-02-01"],
      all_different: false,
      reason: null,
      values: [day("2024-02-01"), day("2024-01-31"), day("2024-01-01"), NaN],
    });
    expect(column(["2024-01-31T10:00:00+02:00"]).classes).toEqual(["2024-01-31T08:00:00.000Z"]);
    // A part of a millisecond would be lost in a class.
    expect(column(["2024-01-31T00:00:00.0005"])).toMatchObject({ classes: null, min: day("2024-01-31") + 0.5 });
  });

  test("have the order of day and month that a cell of the column shows", () => {
    expect(column(["01/02/2024", "31/01/2024"]).values).toEqual([day("2024-02-01"), day("2024-01-31")]);
    expect(column(["01/02/2024", "01/31/2024"]).values).toEqual([day("2024-01-02"), day("2024-01-31")]);
    expectText(["01/02/2024", "03/04/2024"], "01/02/2024", "Write dates like 2024-01-31");
    expectText(["31/01/2024", "01/31/2024"], "01/31/2024", '"31/01/2024" in line 2');
  });

  test("that do not exist, or have years of two digits, are texts with a reason", () => {
    expectText(["2024-01-31", "2024-02-30"], "2024-02-30", "no such day");
    expectText(["31/12/24"], "31/12/24", "four digits");
    expectText(["2024-01-31", "soon"], "soon", '"2024-01-31" in line 2');
    expectText(["31/12/24", "soon"], null);
  });

  test("in eight digits are numbers unless declared", () => {
    expect(column(["20240131"])).toMatchObject({ type: "numeric", values: [20_240_131] });
    expect(column(["20240131", "2024-02-01"], declared("date")).values).toEqual([day("2024-01-31"), day("2024-02-01")]);
  });
});

describe("booleans", () => {
  test.each([
    [
      ["true", "false"],
      ["false", "true"],
    ],
    [
      ["True", "False", "True"],
      ["False", "True"],
    ],
    [
      ["NO", "YES"],
      ["NO", "YES"],
    ],
    [["yes", "yes"], ["yes"]],
  ])("%j", (cells, classes) => {
    expect(column(cells)).toMatchObject({ type: "boolean", classes, min: null, all_different: false });
  });

  test.each([[["true", "True"]], [["true", "no"]], [["yes", "maybe"]], [["Y", "N"]], [["t", "f"]]])(
    "%j are classes, not booleans",
    (cells) => {
      expectText(cells, null);
    },
  );

  test("short words count where they are declared", () => {
    expect(column(["Y", "N", "NA"], declared("boolean"))).toMatchObject({
      type: "boolean",
      classes: ["N", "Y"],
      missing: 1,
    });
    expect(column(["0", "1"], declared("boolean"))).toMatchObject({ type: "boolean", classes: ["0", "1"] });
  });
});
