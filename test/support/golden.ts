import { expect } from "vitest";
import { readGolden } from "../conformance/golden.ts";

export { tolerance, type GoldenTensor, type Spread } from "../conformance/golden.ts";

const folder = new URL("../golden/", import.meta.url);

/** The cases of one file of test/golden (`losses/losses.json`). */
export function goldenCases<Case>(path: string): readonly Case[] {
  return readGolden<Case>(new URL(path, folder)).cases;
}

/** Holds every number to |actual − expected| ≤ tolerance × (1 + |expected|). */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(actual.length, `${what}: length`).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / (1 + Math.abs(expected[i]));
    if (!(error <= tolerance)) {
      expect.fail(
        `${what}[${i}] is ${actual[i]}, not ${expected[i]}: error ${error.toExponential(2)}, tolerance ${tolerance.toExponential(2)}`,
      );
    }
  }
}
