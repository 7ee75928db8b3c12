/** The ranks of examples/compare-optimizers. */
import { expect, test } from "vitest";
import type { Entry } from "../../examples/compare-optimizers/contest.ts";
import { ranked } from "../../examples/compare-optimizers/ranking.ts";

const entry = (name: string, losses: readonly (number | null)[]): Entry => ({
  name,
  lr: 0.1,
  study: "",
  tried: [],
  runs: losses.map((loss, seed) => ({
    job: "",
    seed,
    loss,
    accuracy: loss === null ? null : 1 - loss,
    milliseconds_per_step: seed,
    curve: { steps: [1, 2], values: [1, loss] },
  })),
});

test("optimizers are ranked by their mean, with an interval that is as wide as the seeds differ", () => {
  const results = ranked([
    entry("broken", [0.1, 0.1, null, 0.1]),
    entry("unsure", [0.2, 0.5, 0.1, 0.45]),
    entry("good", [0.1, 0.11, 0.12, 0.13]),
    entry("steady", [0.3, 0.3, 0.3, 0.3]),
  ]);
  const seen = results.map(({ name, rank, interval, mean }) => [name, rank, interval, mean?.toFixed(4)]);
  expect(seen).toEqual([
    ["good", 1, [1, 2], "0.1150"],
    ["steady", 2, [2, 4], "0.3000"],
    ["unsure", 3, [2, 4], "0.3125"],
    ["broken", 4, [1, 4], undefined],
  ]);
  const [{ deviation, curves, milliseconds_per_step: ms }] = results;
  expect(deviation).toBeCloseTo(0.01291, 5);
  expect(ms).toBe(1.5);
  expect(curves).toEqual({
    mean: { steps: [1, 2], values: [1, expect.closeTo(0.115, 10)] },
    low: { steps: [1, 2], values: [1, 0.1] },
    high: { steps: [1, 2], values: [1, 0.13] },
  });
  expect(results[3].curves.mean.values).toEqual([1, null]);
});

test("optimizers that are equal share their rank, and whoever is always better is so with certainty", () => {
  const results = ranked([entry("a", [1, 2, 3]), entry("b", [1, 2, 3]), entry("c", [2, 3, 4])]);
  // The seeds differ more than the optimizers, but all have the same ones.
  expect(results.map(({ rank, interval }) => [rank, ...interval])).toEqual([
    [1, 1, 1],
    [1, 1, 1],
    [3, 3, 3],
  ]);
});
