/** What each sampler promises, and how well they search functions whose optimum is known. */
import { describe, expect, test } from "vitest";
import { Draws } from "../../src/studies/draws.ts";
import { neededBy, planTrial } from "../../src/studies/plan.ts";
import { bestOf } from "../../src/studies/ranking.ts";
import { samplers } from "../../src/studies/samplers/registry.generated.ts";
import type { EndedTrial } from "../../src/studies/study.ts";
import { choice, ended, functions, parameter, run, studyOf, uniform, type Objective } from "./functions.ts";

const TRIALS = 60;
const SEEDS = 20;

/** The median over seeds of the best value that a sampler finds. */
function medianBest(
  type: string,
  parameters: Parameters<typeof studyOf>[0]["parameters"],
  f: Objective,
  trials = TRIALS,
) {
  const bests = Array.from({ length: SEEDS }, (_, seed) => {
    const found = run(studyOf({ parameters, seed, sampler: { type } }), f, trials);
    return found[bestOf("minimize", found)!].value!;
  }).sort((a, b) => a - b);
  return (bests[SEEDS / 2 - 1] + bests[SEEDS / 2]) / 2;
}

describe.each(functions)("$name", ({ parameters, f }) => {
  test("tpe finds better values than random search does", () => {
    expect(medianBest("tpe", parameters, f)).toBeLessThan(0.6 * medianBest("random", parameters, f));
  });

  test("cma_es finds better values than random search does", () => {
    expect(medianBest("cma_es", parameters, f, 200)).toBeLessThan(0.6 * medianBest("random", parameters, f, 200));
  });
});

test("cma_es finds the lowest point of a bowl to many digits", () => {
  const parameters = ["/a", "/b", "/c"].map((pointer) => uniform(pointer, -1, 1));
  const bowl: Objective = ({ "/a": a, "/b": b, "/c": c }) => (a - 0.3) ** 2 + 9 * (b + 0.4) ** 2 + (a + c) ** 2;
  expect(medianBest("cma_es", parameters, bowl, 400)).toBeLessThan(1e-8);
});

const mixed = [
  parameter("/lr", { kind: "log_uniform", low: 1e-4, high: 1 }),
  parameter("/width", { kind: "int", low: 4, high: 64 }),
  choice("/optimizer", ["sgd", "adam"]),
  uniform("/momentum", 0, 0.99, { "/optimizer": ["sgd"] }),
];
const mixedObjective: Objective = ({ "/lr": lr, "/width": width, "/momentum": momentum = 0.5 }) =>
  Math.log10(lr / 0.01) ** 2 + (width / 64 - 0.5) ** 2 + (momentum - 0.9) ** 2;

describe.each(Object.keys(samplers))("%s", (type) => {
  const parameters = type === "cma_es" ? mixed.slice(0, 2) : mixed;
  const study = (more = {}) => studyOf({ parameters, parallel: 4, sampler: { type }, ...more });

  test("a trial depends only on the trials that it needs", () => {
    const trials = run(study(), mixedObjective, 40);
    for (let i = 0; i < trials.length; i++) {
      const needed = neededBy(study(), i);
      expect(needed).toBeLessThanOrEqual(i);
      // Another study of the same settings, and later trials that ended otherwise.
      const others = trials.map((trial, at) => (at < needed ? trial : ended(trial.values, -1000)));
      const values = trials.map((trial) => trial.values);
      expect(planTrial(study(), i, others, values).values).toEqual(trials[i].values);
      if (needed > 0) expect(() => planTrial(study(), i, others.slice(0, needed - 1), values)).toThrow("needs");
    }
  });

  test("another seed gives other trials, unless it is a grid", () => {
    const [one, other] = [0, 1].map((seed) => run(study({ seed }), mixedObjective, 20).map(({ values }) => values));
    if (type === "grid") expect(one).toEqual(other);
    else expect(one).not.toEqual(other);
  });

  test("values lie in the space, and conditional ones are there if their condition holds", () => {
    for (const { values } of run(study(), mixedObjective, 60)) {
      const { "/lr": lr, "/width": width, "/momentum": momentum, "/optimizer": optimizer } = values;
      expect(lr).toBeGreaterThanOrEqual(1e-4);
      expect(lr).toBeLessThanOrEqual(1);
      expect(Number.isInteger(width)).toBe(true);
      expect(width).toBeGreaterThanOrEqual(4);
      expect(width).toBeLessThanOrEqual(64);
      if (type === "cma_es") continue;
      expect(["sgd", "adam"]).toContain(optimizer);
      expect(momentum !== undefined).toBe(optimizer === "sgd");
    }
  });
});

test("tpe learns the value of a conditional parameter from the trials that have it", () => {
  const objective: Objective = ({ "/momentum": momentum }) => (momentum === undefined ? 1 : (momentum - 0.9) ** 2);
  const trials = run(studyOf({ parameters: mixed, sampler: { type: "tpe" } }), objective, 80);
  const late = trials.slice(50).filter(({ values }) => "/momentum" in values);
  expect(late.length).toBeGreaterThan(20);
  const near = late.filter(({ values }) => Math.abs((values["/momentum"] as number) - 0.9) < 0.1);
  expect(near.length).toBeGreaterThan(late.length / 2);
});

test("tpe keeps away from trials that failed", () => {
  const study = studyOf({ parameters: [uniform("/x", 0, 1)], sampler: { type: "tpe" } });
  const trials: EndedTrial[] = [];
  for (let i = 0; i < 60; i++) {
    const { values } = planTrial(
      study,
      i,
      trials,
      trials.map((trial) => trial.values),
    );
    const x = values["/x"] as number;
    trials.push(x > 0.5 ? { values, status: "failed", value: null, rungs: [] } : ended(values, 1));
  }
  expect(trials.slice(20).filter(({ status }) => status === "failed").length).toBeLessThan(10);
});

test("sobol without its shift is scipy's", () => {
  const parameters = Array.from({ length: 64 }, (_, i) => uniform(`/${i}`, 0, 1));
  const study = studyOf({ parameters, sampler: { type: "sobol" } });
  const bitsAt = (number: number) =>
    samplers.sobol
      .sample(study.sampler, { study, number, ended: [], started: [], draws: new Draws(0, number) })
      .map((position) => position * 2 ** 32);
  const shift = bitsAt(0);
  const pointAt = (number: number) => bitsAt(number).map((bits, i) => ((bits ^ shift[i]) >>> 0) * 2 ** -32);
  expect([1, 2, 3, 4, 5].map((number) => pointAt(number).slice(0, 4))).toEqual([
    [0.5, 0.5, 0.5, 0.5],
    [0.75, 0.25, 0.25, 0.25],
    [0.25, 0.75, 0.75, 0.75],
    [0.375, 0.375, 0.625, 0.875],
    [0.875, 0.875, 0.125, 0.375],
  ]);
  expect(pointAt(1000).slice(-3)).toEqual(SCIPY_1000);
});

/** qmc.Sobol(64, scramble=False).random(1001)[1000][-3:] of scipy 1.17. */
const SCIPY_1000 = [0.6025390625, 0.2587890625, 0.4462890625];

test("a grid has each combination once, and those without a conditional parameter only once", () => {
  const parameters = [
    choice("/optimizer", ["sgd", "adam"]),
    uniform("/momentum", 0, 0.9, { "/optimizer": ["sgd"] }),
    parameter("/width", { kind: "int", low: 1, high: 2 }),
  ];
  const study = studyOf({ parameters, sampler: { type: "grid", points: 3 } });
  const size = samplers.grid.size!(study.sampler, study);
  const momenta = (optimizer: string) => (optimizer === "sgd" ? [0, 0.45, 0.9] : [undefined]);
  const wanted = ["sgd", "adam"].flatMap((optimizer) =>
    [1, 2].flatMap((width) =>
      momenta(optimizer).map((momentum) => ({
        "/optimizer": optimizer,
        ...(momentum !== undefined && { "/momentum": momentum }),
        "/width": width,
      })),
    ),
  );
  const listed = run(study, () => 0, size).map(({ values }) => values);
  expect(listed).toHaveLength(8);
  expect(listed).toEqual(expect.arrayContaining(wanted));
});

test("samplers refuse spaces that they cannot search", () => {
  const faults = (type: string, parameters: Parameters<typeof studyOf>[0]["parameters"]) => {
    const study = studyOf({ parameters, sampler: { type } });
    return samplers[type].check!(study.sampler, study).map(({ message }) => message);
  };
  expect(faults("cma_es", mixed)).toEqual(["searches only numbers, but /optimizer is a choice: use tpe"]);
  expect(faults("cma_es", mixed.slice(0, 2))).toEqual([]);
  const many = Array.from({ length: 65 }, (_, i) => uniform(`/${i}`, 0, 1));
  expect(faults("sobol", many)).toEqual(["searches at most 64 parameters"]);
  expect(faults("grid", many.slice(0, 10))[0]).toContain("has 9765625 combinations");
});
