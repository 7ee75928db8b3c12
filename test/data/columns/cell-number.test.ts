import { describe, expect, test } from "vitest";
import { NumberReader, parseDecimal } from "../../../src/data/columns/cell-number.ts";
import { seededColumns } from "./seeded-cells.ts";

const reader = new NumberReader();

/** Under the decimal point and under the comma; NaN where the cell is none. */
function read(cell: string) {
  const isNumber = reader.read(cell);
  return isNumber ? [reader.point, reader.comma] : null;
}

test.each([
  ["1", 1, 1],
  ["-0.5", -0.5, NaN],
  ["-0,5", NaN, -0.5],
  ["+.5", 0.5, NaN],
  ["1.", 1, NaN],
  ["6.02e23", 6.02e23, NaN],
  ["6,02E+23", NaN, 6.02e23],
  [" \t7 ", 7, 7],
  ["1e-999", 0, 0],
  // One mark before three digits groups them under the other.
  ["1.234", 1.234, 1234],
  ["-1,234", -1234, -1.234],
  ["0.123", 0.123, NaN],
  ["1234.567", 1234.567, NaN],
  ["1,234e5", NaN, 1.234e5],
  ["1,234,567", 1_234_567, NaN],
  ["1,234.5", 1234.5, NaN],
  ["1,23,456.78", 123_456.78, NaN],
  ["₹12,34,567", 1_234_567, NaN],
  ["1.234,5", NaN, 1234.5],
  ["1.234.567", NaN, 1_234_567],
  ["192.168.178.301", NaN, 192_168_178_301],
  ["192.168.178.101,5", NaN, 192_168_178_101.5],
  ["1 234", 1234, 1234],
  ["1\u00a0234\u00a0567,8", NaN, 1_234_567.8],
  ["1\u2009234.5", 1234.5, NaN],
  ["1\u202f234", 1234, 1234],
  ["1'234.5", 1234.5, NaN],
  ["1’234’567", 1_234_567, 1_234_567],
  ["(5)", -5, -5],
  ["(1,234.50)", -1234.5, NaN],
  ["\u22125", -5, -5],
  ["- 5", -5, -5],
  ["$1.50", 1.5, NaN],
  ["-$1.50", -1.5, NaN],
  ["$-1.50", -1.5, NaN],
  ["($1.50)", -1.5, NaN],
  ["$ (1.50)", -1.5, NaN],
  ["1,50 €", NaN, 1.5],
  ["USD 5", 5, 5],
  ["5 kr", 5, 5],
  ["(5 %)", -5, -5],
  ["(5)%", -5, -5],
])("%j is the number %d, or %d with a decimal comma", (cell, point, comma) => {
  expect(read(cell)).toEqual([point, comma]);
});

test.each([
  "",
  " ",
  ".",
  ",",
  "-",
  "+",
  "e5",
  "1e",
  "1e+",
  "0x10",
  "0b1",
  "1_000",
  "1 2",
  "NaN",
  "Infinity",
  "-inf",
  "1e999",
  "9".repeat(400),
  "١",
  "1\n2",
  "--5",
  "-(5)",
  "(-5)",
  "(5",
  "5)",
  "((5))",
  "$$5",
  "$5€",
  "5%%",
  "$5%",
  "%5",

  "12,3,567",
  "1,2345,678",
  "1,234,56",
  "01,234,567",
  "1 234'567",
  "1.234,567.8",
  "1 23",
  "1,234,",
  "$",
  "%",
  "5 apples",
  "EURO 5",
  "USDollar",
  "1-2",
  "5e5e5",
  "1.2.3",
  "192.168.178.101",
  "1,234.567,8",
])("%j is none", (cell) => {
  expect(read(cell)).toBeNull();
});

test.each([
  ["5", ""],
  ["5%", "%"],
  ["€5", "€"],
  ["5 €", "€"],
  ["R$ 5", "R$"],
  ["5 zł", "zł"],
  ["CHF 1'234.50", "CHF"],
])("the unit of %j is %j", (cell, unit) => {
  expect(read(cell)).not.toBeNull();
  expect(reader.unit).toBe(unit);
});

describe("an integer that a double does not give back", () => {
  test.each(["007", "-01", "+00", "9007199254740993", "1234567890123456789", "\u2212007"])("is %j", (cell) => {
    expect(read(cell)).not.toBeNull();
    expect(reader.isCode).toBe(true);
  });

  test.each([
    "7",
    "0",
    "-0",
    "0.10",
    "007.5",
    "01e3",
    "9007199254740992",
    "1e300",
    "1" + "0".repeat(22),
    "$007",
    "(007)",
  ])("is not %j", (cell) => {
    expect(read(cell)).not.toBeNull();
    expect(reader.isCode).toBe(false);
  });
});

test("every decimal number gives the same double as before", () => {
  let numbers = 0;
  for (const cell of seededColumns(7, 100).flat()) {
    const value = parseDecimal(cell);
    if (Number.isNaN(value)) continue;
    numbers++;
    if (!Object.is(read(cell)?.[0], value)) expect(`${cell}: ${read(cell)?.[0]}`).toBe(`${cell}: ${value}`);
  }
  expect(numbers).toBeGreaterThan(50_000);
});

test("fractions of many digits are rounded once", () => {
  // Both halves of what decides: few digits, and more than a double holds.
  for (let i = 0; i < 20_000; i++) {
    const digits = String((i * 7_919_777_777_777) % 10 ** (1 + (i % 17)));
    const cell = `${digits.slice(0, i % 9) || "0"}.${digits}`;
    if (!Object.is(read(cell)?.[0], Number(cell)))
      expect(`${cell}: ${read(cell)?.[0]}`).toBe(`${cell}: ${Number(cell)}`);
  }
});

test("a long cell that is no number is refused in linear time", () => {
  // Else it would take minutes.
  for (const cell of [
    `${"1".repeat(2_000_000)}x`,
    `$${"1,".repeat(1_000_000)}`,
    `${"(".repeat(65_536)}5`,
    " ".repeat(65_536),
  ])
    expect(read(cell)).toBeNull();
  // Nor does it take long to find that a long integer is one that no double holds.
  expect(read(`1${"0".repeat(65_000)}`)).toBeNull();
  expect(read(`0${"1".repeat(300)}`)).not.toBeNull();
});
