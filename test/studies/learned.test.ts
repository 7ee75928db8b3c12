/** What is learned from a study's trials one after the other is the same as if learned at once. */
import { describe, expect, test } from "vitest";
import { insert, learned } from "../../src/studies/learned.ts";
import { learn, planTrial } from "../../src/studies/plan.ts";
import { pruners } from "../../src/studies/pruners/registry.generated.ts";
import { samplers } from "../../src/studies/samplers/registry.generated.ts";
import type { EndedTrial, Study } from "../../src/studies/study.ts";
import { ended, parameter, studyOf, uniform } from "./functions.ts";

const parameters = [parameter("/x", { kind: "int", low: 1, high: 16 }), uniform("/y", 0, 1)];

/** Trials of every kind, with many objectives that are equal. */
const trials = Array.from({ length: 60 }, (_, i): EndedTrial => {
  const values = { "/x": 1 + (i % 8), "/y": ((i * 7) % 60) / 60 };
  const rungs = [1, 3, 9].map((epoch) => ({ epoch, value: i % 13 === 0 ? null : (i % 5) + 1 / epoch }));
  if (i % 9 === 4) return { values, status: "failed", value: null, rungs: rungs.slice(0, 1) };
  if (i % 11 === 5) return { values, status: "cancelled", value: null, rungs: [] };
  if (i % 4 === 3) return { values, status: "pruned", value: null, rungs: rungs.slice(0, 2) };
  return ended(values, i % 5, rungs);
});
const last = trials.length;
/** A grid has more points than there are trials. */
const samplerOf = (type: string) => (type === "grid" ? { type, points: 10 } : { type });
const valuesOf = trials.map(({ values }) => values);

describe.each(Object.keys(samplers))("%s", (sampler) => {
  test.each(Object.keys(pruners))("with %s", (pruner) => {
    const fresh = () =>
      studyOf({ parameters, sampler: samplerOf(sampler), pruner: { type: pruner }, direction: "maximize" });
    const study = fresh();
    const at = (of: Study, first: readonly EndedTrial[]) => planTrial(of, last, first, valuesOf);
    const wanted = at(fresh(), trials);
    for (let count = 0; count < last; count++) learn(study, trials.slice(0, count));
    expect(at(study, trials)).toEqual(wanted);
    // A trial that ended otherwise counts as it ended then.
    const others = trials.map((trial, i) => (i < 30 ? trial : ended(trial.values, -i, trial.rungs)));
    expect(at(study, others)).toEqual(at(fresh(), others));
    expect(at(study, trials)).toEqual(wanted);
  });
});

test("each trial is taken in once, unless the ones before it are others", () => {
  let taken = 0;
  const numbers = learned<number[]>(
    () => [],
    (state, _trial, number) => {
      taken++;
      state.push(number);
    },
  );
  const study = studyOf({ parameters });
  for (let count = 0; count <= trials.length; count++)
    expect(numbers(study, trials.slice(0, count))).toHaveLength(count);
  expect(taken).toBe(trials.length);
  expect(numbers(study, trials.slice(1, 4))).toEqual([0, 1, 2]);
  expect(numbers(studyOf({ parameters }), trials.slice(0, 2))).toEqual([0, 1]);
});

test("an item goes after those that are equal", () => {
  const sorted: [number, string][] = [];
  for (const item of [
    [2, "a"],
    [1, "b"],
    [2, "c"],
    [1, "d"],
    [3, "e"],
  ] as const)
    insert(sorted, [...item], ([a], [b]) => a - b);
  expect(sorted.map(([, name]) => name).join("")).toBe("bdace");
});
