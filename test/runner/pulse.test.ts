import { expect, test } from "vitest";
import { Pulse } from "../../src/runner/pulse.ts";

/** Takes counts at seconds, and says what the pulse says at the last of them. */
function after(...takes: [seconds: number, count: number | "held"][]): number | null {
  const pulse = new Pulse();
  for (const [seconds, count] of takes) {
    if (count === "held") pulse.rest(seconds * 1000);
    else pulse.take(count, seconds * 1000);
  }
  return pulse.stillSeconds(takes.at(-1)![0] * 1000);
}

test("a crew that moves is alive, and one that has not moved for half a minute stands still", () => {
  expect(new Pulse().stillSeconds()).toBeNull();
  expect(after([0, 5], [1, 6], [31, 6])).toBeNull();
  expect(after([0, 5], [1, 6], [32, 6])).toBe(31);
  expect(after([0, 5], [1, 6], [32, 6], [33, 7])).toBeNull();
});

test("before its first step it has ten minutes, and then ten times its longest pause", () => {
  expect(after([0, 0], [599, 0])).toBeNull();
  expect(after([0, 0], [601, 0])).toBe(601);
  expect(after([0, 0], [50, 1], [549, 1])).toBeNull();
  expect(after([0, 0], [50, 1], [551, 1])).toBe(501);
});

test("while it is held it does not stand still", () => {
  expect(after([0, 5], [1, 6], [100, "held"], [129, 6])).toBeNull();
  expect(after([0, 5], [1, 6], [100, "held"], [131, 6])).toBe(31);
});
