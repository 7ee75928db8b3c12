import { describe, expect, test } from "vitest";
import { seededColumns } from "./seeded-cells.ts";
import { column, day, declared, expectText, many, read, type Cells } from "./support.ts";

test("numbers have their range, mean and distinct values in numeric order", () => {
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

test("texts have their classes in the order of their bytes", () => {
  // U+FF5E comes before U+1F600 in bytes, and after it in UTF-16.
  expect(column(["b", "", "😀", "b", "～", "B"])).toMatchObject({
    type: "categorical",
    missing: 1,
    min: null,
    classes: ["B", "b", "～", "😀"],
    reason: null,
    values: [1, 0xffff, 3, 1, 2, 0],
  });
});

describe("the reason", () => {
  test("is the first cell that is not a number among numbers, wherever the numbers begin", () => {
    expectText(["5", "abc", "def"], "abc", '"5" in line 2');
    expectText(["abc", "def", "5"], "abc", '"5" in line 4');
    expectText(
      many(3000, (i) => (i === 2500 ? "oops" : String(i))),
      "oops",
    );
    expectText(
      many(3000, (i) => (i === 2500 ? "5" : `w${i}`)),
      "w0",
      '"5" in line 2502',
    );
    expectText(["5", "2024-01-31"], "2024-01-31");
    // What comes first is what the column is about.
    expectText(["x", "2024-01-31", "5"], "x", "no date");
    expectText(["2024-01-31", "5", "x"], "5", "no date");
    expectText([...many(2000, (i) => `w${i}`), "2024-01-31", "5"], "w0", "no date");
  });

  test("is null where nothing is a number or a date", () => {
    expectText(["a", "b", "yes"], null);
    expectText(
      many(3000, (i) => `w${i}`),
      null,
    );
  });

  test("shows the beginning of a long cell", () => {
    const { reason } = column(["5", "x".repeat(60_000)]);
    expect(reason?.cell).toBe(`${"x".repeat(100)}…`);
    expect(reason?.message.length).toBeLessThan(400);
  });
});

describe("values that are all different", () => {
  test.each<[string, boolean, Cells]>([
    ["21 texts", true, many(21, (i) => `id${i}`)],
    ["20 texts", false, many(20, (i) => `id${i}`)],
    ["integers", true, many(30, String)],
    ["fractions", false, many(30, (i) => `${i}.5`)],
    ["dates", false, many(28, (i) => `2024-01-${String(i + 1).padStart(2, "0")}`)],
    ["5 % that repeat", false, many(100, (i) => `id${Math.min(i, 94)}`)],
    ["4 % that repeat", true, many(100, (i) => `id${Math.min(i, 95)}`)],
    ["missing cells besides", true, many(60, (i) => (i % 2 ? `id${i}` : ""))],
    ["3,000 integers", true, many(3000, (i) => String(i * 7))],
    ["3,000 texts", true, many(3000, (i) => `id${i}`)],
    ["3,000 texts, 1,500 different", false, many(3000, (i) => `id${i >> 1}`)],
    ["3,000 integers of which 10 % repeat", false, many(3000, (i) => String(i % 2700))],
    ["3,000 integers and a text", true, [...many(3000, String), "x"]],
    ["long ids", true, many(3000, (i) => `12345678901234567${1000 + i}`)],
    ["fractions between 0 and 1, and a text", true, [...many(20_000, (i) => (i / 20_000).toFixed(6)), "x"]],
  ])("%s: %s", (_, expected, cells) => {
    expect(column(cells).all_different).toBe(expected);
  });
});

describe("declared types", () => {
  test("numeric overrides leading zeros and size, and faults name the cell and the remedy", () => {
    expect(column(["007", "1234567890123456789", "NA"], declared("numeric"))).toMatchObject({
      type: "numeric",
      missing: 1,
      values: [7, 1234567890123456800, NaN],
    });
    const ids = many(1500, (i) => `0${i}`);
    expect(column(ids, declared("numeric")).values).toEqual(ids.map(Number));
    expect(() => column(["1", "abc"], declared("numeric"))).toThrow(
      expect.objectContaining({
        line: 3,
        message: expect.stringContaining('"c" is declared numeric: "abc" is no number'),
      }),
    );
    expect(() => column(["5", "1,234"], declared("numeric"))).toThrow(/\?decimal=/);
    expect(() => column(["5%", "1"], declared("numeric"))).toThrow(/percent/);
  });

  test("categorical keeps the spellings, text lists none, and neither has a reason", () => {
    expect(column(["1.0", "1", "x"], declared("categorical"))).toMatchObject({
      classes: ["1", "1.0", "x"],
      reason: null,
    });
    expect(column(["1.0", "1"], declared("text"))).toMatchObject({ type: "categorical", classes: null, values: null });
    expect(column(many(1500, String), declared("categorical"))).toMatchObject({ type: "categorical", classes: null });
  });

  test("an ambiguous date, and a word that is not a boolean, are faults", () => {
    expect(() => column(["01/02/2024"], declared("date"))).toThrow(/Write dates like 2024-01-31/);
    expect(() => column(["2024-01-31", "5"], declared("date"))).toThrow(expect.objectContaining({ line: 3 }));
    expect(() => column(["yes", "maybe"], declared("boolean"))).toThrow(/neither true nor false/);
    expect(() => column(["yes", "Yes"], declared("boolean"))).toThrow(/one throughout/);
    expect(() => column(many(2000, String), declared("boolean"))).toThrow(expect.objectContaining({ line: 4 }));
  });

  test("ignore changes nothing, and a name like constructor declares nothing", () => {
    expect(column(["1,5"], declared("ignore"))).toMatchObject({ type: "numeric", values: [1.5] });
    expect(read({ constructor: ["1"] }).columns.constructor).toMatchObject({ type: "numeric" });
  });
});

describe("columns with more values than classes", () => {
  test.each<[string, Cells, (cell: string) => number]>([
    ["decimal commas", many(3000, (i) => `${i},25`), (cell) => Number(cell.replace(",", "."))],
    ["currencies", many(3000, (i) => `$${i}.50`), (cell) => Number(cell.slice(1))],
    ["dates", many(3000, (i) => new Date(i * 86_400_000).toISOString().slice(0, 10)), (cell) => Date.parse(cell)],
  ])("keep their %s as they are read", (_, cells, value) => {
    const { again, columns } = read({ c: cells });
    expect(again).toBe(false);
    expect(columns.c).toMatchObject({ classes: null, values: cells.map(value) });
  });

  test("are read again if they turn out to be something else late", () => {
    const late = read({ c: [...many(2000, String), "", "2000,5"] });
    expect(late).toMatchObject({ again: true, decimal: "," });
    expect(late.columns.c.values).toEqual([...many(2000, String).map(Number), NaN, 2000.5]);
    const elsewhere = read({ c: many(2000, (i) => `${1 + (i % 900)}.${100 + (i % 800)}`), d: ["1,5"] });
    expect(elsewhere).toMatchObject({ again: true, columns: { c: { type: "numeric", min: 1100 } } });
    const order = read({
      c: [
        ...many(
          1200,
          (i) => `0${1 + (i % 9)}/${String(1 + (i % 12)).padStart(2, "0")}/${String(800 + i).padStart(4, "0")}`,
        ),
        "31/01/2024",
      ],
    });
    expect(order).toMatchObject({ again: true, columns: { c: { type: "date", max: day("2024-01-31") } } });
  });

  test("are not read again for integers, whatever the mark", () => {
    expect(read({ c: many(2000, String), d: ["1,5"] })).toMatchObject({ again: false, decimal: "," });
  });
});

test("the number of distinct cells only decides which classes are listed", () => {
  let longer = 0;
  for (const cells of seededColumns(3, 60)) {
    const few = column(cells.slice(0, 900));
    // The same cells, and more than can be listed of the kind that the column is of.
    const isPlain = few.type === "numeric" && few.missing < few.values!.length;
    if (!isPlain) continue;
    longer++;
    const longerCells = [...cells.slice(0, 900), ...many(1200, (i) => String(i + 1_000_000))];
    const all = column(longerCells);
    expect(all.type).toBe("numeric");
    expect(all.values?.slice(0, 900)).toEqual(few.values);
  }
  expect(longer).toBeGreaterThan(5);
});

test("the columns with the most classes do not list them once all classes are too many", () => {
  const table = Object.fromEntries(many(60, String).map((i) => [`c${i}`, many(1000, (row) => `v${row}`)]));
  const { columns } = read({ ...table, few: many(1000, (row) => `v${row % 2}`) });
  const listed = Object.values(columns).filter(({ classes }) => classes !== null);
  expect(listed).toHaveLength(50);
  expect(columns.few.classes).toEqual(["v0", "v1"]);
  expect(Object.values(columns).every(({ classes, values }) => (classes === null) === (values === null))).toBe(true);
});
