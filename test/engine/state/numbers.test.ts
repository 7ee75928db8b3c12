import { expect, test } from "vitest";
import { exactJson, fromExactJson } from "../../../src/engine/state/numbers.ts";

test.each([NaN, Infinity, -Infinity, -0, 0, 5e-324, -2.2250738585072014e-308, 2 ** 53, 0.1, 1.7976931348623157e308])(
  "%s comes back, wherever it stands",
  (number) => {
    const value = { number, list: [number, { within: number }], word: String(number), nothing: null };
    expect(fromExactJson(exactJson(value))).toStrictEqual(value);
    expect(fromExactJson(exactJson(number))).toBe(number);
  },
);

test("values that JSON can hold are written as JSON", () => {
  const value = { a: [1, -2.5e-300, "NaN", null, true], b: { c: {} } };
  expect(exactJson(value)).toBe(JSON.stringify(value));
  expect(fromExactJson(JSON.stringify(value))).toStrictEqual(value);
});
