/** Numbers by their rank among the different ones. */
import { expect, test } from "vitest";
import { NO_RANK, rankedNumbers } from "../../../src/data/columns/ranked-numbers.ts";

const edges = [0, -0, 5e-324, -5e-324, 1, -1, 1.5, -1.5, 2 ** 53, -(2 ** 53), 1e308, -1e308, 255, 256, 65_536];

test.each([
  ["whole numbers", (row: number) => (row * 7919) % 300],
  ["fractions of both signs", (row: number) => Math.sin(row) * 10 ** ((row % 600) - 300)],
  ["edges and missing ones", (row: number) => [...edges, Number.NaN][(row * 5) % 16]],
  ["one number", () => -3],
  ["none", () => Number.NaN],
])("%s", (_, valueOf) => {
  const numbers = Float64Array.from({ length: 3000 }, (_, row) => valueOf(row));
  const { ranks, distinct } = rankedNumbers(numbers);
  const wanted = [...new Set(numbers)].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  expect([...distinct]).toEqual(wanted);
  expect([...ranks]).toEqual(
    Array.from(numbers, (value) => (Number.isNaN(value) ? NO_RANK : wanted.indexOf(value + 0))),
  );
});
