import { expect, test } from "vitest";
import { modelsOf } from "../../src/contract/resolve/set-shape.ts";
import { numberOf, placeOf } from "../../src/sets/numbering.ts";

test("models are numbered by key, then by fold, then by seed", () => {
  const shape = { keys: 3, folds: 2, seeds: 4 };
  const places = Array.from({ length: modelsOf(shape) }, (_, model) => placeOf(shape, model));
  expect(places.map((place) => numberOf(shape, place))).toEqual(places.map((_, model) => model));
  const order = places.map(({ key, fold, seed }) => `${key} ${fold} ${seed}`);
  expect(order).toEqual(order.toSorted());
  expect(new Set(order).size).toBe(24);
});
