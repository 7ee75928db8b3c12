import { expect, test } from "vitest";
import * as distinct from "../../../src/data/columns/distinct.ts";

const areAllDifferent = (values: Float64Array) =>
  distinct.areAllDifferent(values, values.filter((value) => !Number.isNaN(value)).length);

test("nearly all values differ if fewer than 5 % of more than 20 values repeat others", () => {
  const values = (count: number, distinct: number) =>
    Float64Array.from({ length: count }, (_, i) => (i * 13) % distinct);
  expect(areAllDifferent(values(20, 20))).toBe(false);
  expect(areAllDifferent(values(21, 21))).toBe(true);
  expect(areAllDifferent(values(1000, 951))).toBe(true);
  expect(areAllDifferent(values(1000, 950))).toBe(false);
  expect(areAllDifferent(values(10_000, 1000))).toBe(false);
});

test("missing values do not count, and the two zeros are equal", () => {
  const values = Float64Array.from({ length: 80 }, (_, i) => (i % 4 === 0 ? i : Number.NaN));
  expect(areAllDifferent(values)).toBe(false);
  expect(areAllDifferent(Float64Array.of(...values, 1, Number.NaN))).toBe(true);
  expect(areAllDifferent(Float64Array.of(...values, -0, -0))).toBe(false);
});

test("no values are slow to compare, not even hostile ones", () => {
  // The halves of each double cancel each other out in what was once a hash function.
  const values = new Float64Array(2 ** 20);
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < values.length; i++) {
    words[2 * i + 1] = 0x40000000 + 7 * i;
    words[2 * i] = Math.imul(words[2 * i + 1], 0x85ebca6b);
  }
  expect(areAllDifferent(values)).toBe(true);
});

test("numbers are only compared if all of them are integers", () => {
  const numbers = Float64Array.from({ length: 1000 }, (_, i) => i + 1);
  const differ = () => distinct.areAllDifferentIntegers(numbers, numbers.length);
  expect(differ()).toBe(true);
  for (const at of [0, 999]) {
    numbers[at] += 0.5;
    expect(differ()).toBe(false);
    numbers[at] -= 0.5;
  }
});
