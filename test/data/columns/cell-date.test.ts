import { expect, test } from "vitest";
import { DateReader } from "../../../src/data/columns/cell-date.ts";

const reader = new DateReader();
const iso = (ms: number) => (Number.isNaN(ms) ? null : new Date(ms).toISOString().replace("T00:00:00.000Z", ""));

test.each([
  ["2024-01-31", "2024-01-31"],
  ["2024/01/31", "2024-01-31"],
  ["2024-01", "2024-01-01"],
  ["2024-02-29", "2024-02-29"],
  ["1969-12-31", "1969-12-31"],
  ["0001-01-01", "0001-01-01"],
  ["2024-01-31T10:20", "2024-01-31T10:20:00.000Z"],
  ["2024-01-31 10:20:30", "2024-01-31T10:20:30.000Z"],
  ["2024-01-31T10:20:30.057Z", "2024-01-31T10:20:30.057Z"],
  ["2024-01-31T10:20:30,5", "2024-01-31T10:20:30.500Z"],
  ["2024-01-31T00:20:30+02:00", "2024-01-30T22:20:30.000Z"],
  ["2024-01-31 23:20:30 -0130", "2024-02-01T00:50:30.000Z"],
  ["2024-01-31 10:20:30 UTC", "2024-01-31T10:20:30.000Z"],
  ["2024-01-31 10:20:30.5 GMT", "2024-01-31T10:20:30.500Z"],
  ["20240131T102030", "2024-01-31T10:20:30.000Z"],
  ["20240131T1020Z", "2024-01-31T10:20:00.000Z"],
])("%j is %s", (cell, date) => {
  expect(reader.read(cell)).toBe(true);
  expect([iso(reader.dayFirst), iso(reader.monthFirst), reader.hasOrder]).toEqual([date, date, false]);
});

test.each([
  ["31/01/2024", "2024-01-31", null],
  ["01/31/2024", null, "2024-01-31"],
  ["1.2.2024", "2024-02-01", "2024-01-02"],
  ["01-02-2024", "2024-02-01", "2024-01-02"],
  ["29/02/2023", null, null],
  ["1/31/2024 1:05 PM", null, "2024-01-31T13:05:00.000Z"],
  ["31.01.2024 12:30 am", "2024-01-31T00:30:00.000Z", null],
])("%j is %s with the day first, and %s with the month first", (cell, dayFirst, monthFirst) => {
  expect(reader.read(cell)).toBe(true);
  expect([iso(reader.dayFirst), iso(reader.monthFirst), reader.hasOrder]).toEqual([dayFirst, monthFirst, true]);
});

test.each([
  "2024-02-30",
  "2023-02-29",
  "1900-02-29",
  "2024-13-01",
  "2024-00-10",
  "0000-00-00",
  "2024-13",
  "31/12/24",
  "12/31/24",
  "31/02/2024",
  "2024-01-31 24:00",
  "2024-01-31 10:60",
  "20240131T250000",
  "2024-01-31T10:20:61",
  "2024-01-31 13:00 PM",
  "2024-01-31 10:00 +99:00",
])("%j has the shape of a date, and there is none", (cell) => {
  expect(reader.read(cell)).toBe(true);
  expect([reader.dayFirst, reader.monthFirst]).toEqual([NaN, NaN]);
});

test.each([
  "2024",
  "20240131",
  "20240131T10",
  "2024-1-31x",
  "1-2",
  "10:20",
  "31/01-2024",
  "Jan 31 2024",
  "123-45-6789",
  "1.2.3.2024",
  "",
])("%j has not", (cell) => {
  expect(reader.read(cell)).toBe(false);
});

test("eight digits are a date only where dates were declared", () => {
  expect(reader.read("20240131")).toBe(false);
  expect(reader.readDeclared("20240131")).toBe(true);
  expect(iso(reader.dayFirst)).toBe("2024-01-31");
  expect(reader.readDeclared("20241301")).toBe(true);
  expect(reader.dayFirst).toBeNaN();
});

test("every day of eight centuries has the right number", () => {
  for (let day = -290_000; day < 20_000; day += 7) {
    const date = new Date(day * 86_400_000).toISOString().slice(0, 10);
    reader.read(date);
    if (reader.dayFirst !== day * 86_400_000) expect(`${date} ${reader.dayFirst}`).toBe(day * 86_400_000);
  }
});
