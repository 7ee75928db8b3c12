/** Population-based training: who goes on from whom, and with what values. */
import { expect, test } from "vitest";
import { planTrial, type PlannedTrial } from "../../src/studies/plan.ts";
import { samplers } from "../../src/studies/samplers/registry.generated.ts";
import type { EndedTrial } from "../../src/studies/study.ts";
import { choice, ended, parameter, studyOf, uniform } from "./functions.ts";

const parameters = [
  parameter("/lr", { kind: "log_uniform", low: 1e-4, high: 1 }),
  parameter("/patience", { kind: "int", low: 1, high: 9 }),
  choice("/kind", ["a", "b"]),
  uniform("/share", 0, 0.5, { "/kind": ["a"] }),
];
const POPULATION = 8;
const study = (more = {}) =>
  studyOf({ parameters, sampler: { type: "population_based", population: POPULATION, ...more }, seed: 3 });

type Ending = (number: number, values: EndedTrial["values"]) => EndedTrial;
const byNumber: Ending = (number, values) => ended(values, number % POPULATION);

function run(of: ReturnType<typeof study>, count: number, ending = byNumber) {
  const trials: EndedTrial[] = [];
  const planned: PlannedTrial[] = [];
  for (let i = 0; i < count; i++) {
    planned.push(
      planTrial(
        of,
        i,
        trials,
        trials.map(({ values }) => values),
      ),
    );
    trials.push(ending(i, planned[i].values));
  }
  return planned;
}

test("the worst go on from the best, and the others from themselves with the same values", () => {
  const planned = run(study(), 4 * POPULATION);
  expect(planned.slice(0, POPULATION).map(({ from }) => from)).toEqual(Array.from({ length: POPULATION }, () => null));
  for (let i = POPULATION; i < planned.length; i++) {
    const [member, first] = [i % POPULATION, i - (i % POPULATION) - POPULATION];
    const { from, values } = planned[i];
    if (member < 6) {
      expect(from).toBe(first + member);
      expect(values).toEqual(planned[from!].values);
    } else expect([first, first + 1]).toContain(from);
  }
  const copies = planned.filter(({ from }, i) => from !== null && i % POPULATION >= 6);
  expect(new Set(copies.map(({ from }) => from! % POPULATION))).toEqual(new Set([0, 1]));
});

test("a copy has 0.8 or 1.2 times the numbers, within their bounds, and the same choice", () => {
  const planned = run(study({ resample: 0 }), 20 * POPULATION);
  for (const { from, values } of planned.filter((_, i) => i >= POPULATION && i % POPULATION >= 6)) {
    const before = planned[from!].values as Record<string, number>;
    const after = values as Record<string, number>;
    expect(after["/kind"]).toBe(before["/kind"]);
    expect("/share" in after).toBe("/share" in before);
    const rate = after["/lr"] / before["/lr"];
    if (after["/lr"] < 1 && after["/lr"] > 1e-4)
      expect(Math.min(Math.abs(rate - 0.8), Math.abs(rate - 1.2))).toBeLessThan(1e-9);
    expect(after["/lr"]).toBeLessThanOrEqual(1);
    expect(Number.isInteger(after["/patience"])).toBe(true);
    if (before["/patience"] > 1 && before["/patience"] < 9) expect(after["/patience"]).not.toBe(before["/patience"]);
  }
});

test("one that failed goes on from one of the best, and where all failed they begin anew", () => {
  const failed = (values: EndedTrial["values"]): EndedTrial => ({ values, status: "failed", value: null, rungs: [] });
  const some = run(study(), 2 * POPULATION, (i, values) => (i === 0 || i === 3 ? failed(values) : byNumber(i, values)));
  expect(some.slice(POPULATION).map(({ from }, i) => from === i)).toEqual([
    false,
    true,
    true,
    false,
    true,
    true,
    true,
    true,
  ]);
  for (const i of [0, 3]) expect([1, 2]).toContain(some[POPULATION + i].from);
  const all = run(study(), 2 * POPULATION, (_, values) => failed(values));
  expect(all.map(({ from }) => from).filter((from) => from !== null)).toEqual([]);
  expect(all[POPULATION].values).not.toEqual(all[0].values);
});

test("what a fork may not change is told", () => {
  const faults = (given: Parameters<typeof studyOf>[0]) => {
    const of = studyOf({ sampler: { type: "population_based" }, ...given });
    return samplers.population_based.check!(of.sampler, of).map(({ message }) => message);
  };
  expect(faults({ parameters })).toEqual([]);
  expect(faults({ parameters: [choice("/training/batch_size", [4, 8])] })).toEqual([
    "lets trials go on from others, which may not change /training/batch_size: leave it out of the space",
  ]);
  expect(faults({ parameters, pruner: { type: "asha" } })).toEqual([
    "ends the worst members itself, so /pruner must be none",
  ]);
});
