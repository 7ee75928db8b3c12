import { expect, test } from "vitest";
import { drawRows } from "../../../src/data/encode/draw.ts";
import { chosenCount } from "../../../src/data/encode/split.ts";

test("the rows that validate depend on the seed alone, in all versions", () => {
  expect([...drawRows(20, 0.25, 0)]).toEqual([3, 9, 12, 13, 16]);
  expect([...drawRows(20, 0.25, 1)]).toEqual([0, 7, 9, 10, 17]);
  expect([...drawRows(20, 0.25, 2 ** 53 - 1)]).toEqual([1, 3, 5, 13, 16]);
});

test("as many rows validate as the fraction says, each at most once", () => {
  for (const [rows, fraction, count] of [
    [150, 0.2, 30],
    [10, 0.26, 3],
    [3, 0.1, 0],
    [3, 0.9, 3],
    [1000, 0.5, 500],
  ] as const) {
    const valid = drawRows(rows, fraction, 7);
    expect(valid).toHaveLength(count);
    expect(chosenCount(rows, { fraction, seed: 7 })).toBe(count);
    expect(new Set(valid).size).toBe(count);
    expect([...valid]).toEqual([...valid].toSorted((a, b) => a - b));
    expect([...valid].every((row) => row >= 0 && row < rows)).toBe(true);
  }
});

test("every row has the same chance", () => {
  const rows = 50;
  const seeds = 2000;
  const hits = new Uint32Array(rows);
  for (let seed = 0; seed < seeds; seed++) for (const row of drawRows(rows, 0.2, seed)) hits[row]++;
  // 400 expected with a deviation of 18: five of them either way.
  for (const count of hits) expect(Math.abs(count - 400)).toBeLessThan(90);
});
