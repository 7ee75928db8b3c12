import { expect, test } from "vitest";
import { bounded, MAX_WARNINGS, type Warning } from "../../../src/contract/resolve/warnings.ts";

const warning = (code: string, message = "is odd") => ({ pointer: "/data", code, message }) as Warning;

test("the first ten warnings of each code are kept, and the last says how many more there are", () => {
  const many = Array.from({ length: 12 }, (_, i) => warning("a", `is odd (${i})`));
  const kept = bounded([...many, warning("b")]);
  expect(kept.map(({ message }) => message)).toEqual([
    ...many.slice(0, 9).map(({ message }) => message),
    "is odd (9); and 2 more such warnings",
    "is odd",
  ]);
  expect(bounded(many.slice(0, 10))).toEqual(many.slice(0, 10));
});

test("all warnings of a job together are bounded, and so is each", () => {
  const kept = bounded(Array.from({ length: 200 }, (_, i) => warning(`code_${i}`, "x".repeat(5000))));
  expect(kept).toHaveLength(MAX_WARNINGS);
  expect(kept[0].message).toBe(`${"x".repeat(999)}…`);
});
