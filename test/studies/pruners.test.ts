/** The thresholds that pruners set, the ranking of trials, and the importance of parameters. */
import { describe, expect, test } from "vitest";
import { importances } from "../../src/studies/importance.ts";
import { planTrial, trialTextOf } from "../../src/studies/plan.ts";
import { pruners } from "../../src/studies/pruners/registry.generated.ts";
import { bestOf, ranked } from "../../src/studies/ranking.ts";
import type { EndedTrial } from "../../src/studies/study.ts";
import { choice, ended, run, studyOf, uniform } from "./functions.ts";

const parameters = [uniform("/x", 0, 1)];
const curves = (...rows: number[][]) =>
  rows.map((row) =>
    ended(
      {},
      row.at(-1)!,
      row.map((value, i) => ({ epoch: i + 1, value })),
    ),
  );

function rungsOf(pruner: { type: string } & Record<string, unknown>, trials: EndedTrial[], more = {}) {
  const study = studyOf({ parameters, pruner, ...more });
  return planTrial(
    study,
    trials.length,
    trials,
    trials.map(({ values }) => values),
  ).rungs;
}

test.each(["none", "median", "asha", "hyperband"])("the text of a trial under %s is known before", (type) => {
  const parameters = [choice("/ä", ["é".repeat(400), "b"]), uniform("/b", -1e-300, 1e-300)];
  const study = studyOf({ parameters, pruner: { type }, epochs: 100, parallel: 30 });
  const least = -1.234567890123456e-300;
  const lengths = Array.from({ length: 30 }, (_, i) => {
    const { values, rungs } = planTrial(study, i, [], []);
    const full = rungs.map(({ epoch }) => ({ epoch, value: least }));
    return (
      Buffer.byteLength(JSON.stringify({ ...values, "/b": least })) +
      2 * full.map((rung) => JSON.stringify(rung)).join().length
    );
  });
  const most = lengths.reduce((a, b) => Math.max(a, b));
  expect(most).toBeLessThanOrEqual(trialTextOf(study));
  expect(most).toBeGreaterThan(trialTextOf(study) / 2);
});

test("without a pruner there are no rungs", () => {
  expect(rungsOf({ type: "none" }, curves([1, 2]))).toEqual([]);
});

describe("median", () => {
  const trials = curves([5, 4, 3], [1, 1, 1], [2, 2], [9, 8, 7], [3, 3]);

  test("the threshold is the median of the trials that were there", () => {
    expect(rungsOf({ type: "median", startup_trials: 3 }, trials, { epochs: 4 })).toEqual([
      { epoch: 1, value: 3 },
      { epoch: 2, value: 3 },
      { epoch: 3, value: 3 },
    ]);
    const higher = rungsOf({ type: "median", startup_trials: 3 }, trials, { epochs: 4, direction: "maximize" });
    expect(higher.map(({ value }) => value)).toEqual([3, 3, 3]);
  });

  test("rungs that too few trials reached have no threshold", () => {
    const rungs = rungsOf({ type: "median", startup_trials: 4, warmup_epochs: 2 }, trials, { epochs: 4 });
    expect(rungs).toEqual([
      { epoch: 2, value: 3 },
      { epoch: 3, value: null },
    ]);
  });

  test("long trainings have at most twenty rungs, unless more are asked for", () => {
    expect(rungsOf({ type: "median" }, [], { epochs: 1000 })).toHaveLength(20);
    expect(rungsOf({ type: "median", interval_epochs: 10 }, [], { epochs: 1000 })).toHaveLength(100);
    const study = studyOf({ parameters, epochs: 100_000, pruner: { type: "median", interval_epochs: 3 } });
    expect(pruners.median.check!(study.pruner, study)[0].message).toBe("must be at least 100 for 100000 epochs");
  });
});

describe("asha", () => {
  test("a third goes on at each rung", () => {
    const trials = Array.from({ length: 9 }, (_, i) =>
      ended({}, i, [
        { epoch: 1, value: i },
        { epoch: 3, value: i / 10 },
      ]),
    );
    expect(rungsOf({ type: "asha" }, trials)).toEqual([
      { epoch: 1, value: 2 },
      { epoch: 3, value: 0.2 },
      { epoch: 9, value: null },
    ]);
    expect(rungsOf({ type: "asha" }, trials, { direction: "maximize" })[0].value).toBe(6);
  });

  test("values that are not finite do not count", () => {
    const trials = [...curves([Number.NaN], [Infinity]), ended({}, 1, [{ epoch: 1, value: null }])];
    expect(rungsOf({ type: "asha" }, trials)[0].value).toBeNull();
  });
});

test("hyperband gives each bracket its share of the trials, with its own rungs and thresholds", () => {
  const trials: EndedTrial[] = [];
  const firstRungs: (number | null)[] = [];
  for (let i = 0; i < 170; i++) {
    const rungs = rungsOf({ type: "hyperband" }, trials, { epochs: 9 });
    firstRungs.push(rungs[0]?.epoch ?? null);
    trials.push(
      ended(
        {},
        i,
        rungs.map(({ epoch }) => ({ epoch, value: i })),
      ),
    );
  }
  const count = (epoch: number | null) => firstRungs.filter((first) => first === epoch).length;
  expect([1, 3, null].map(count)).toEqual([90, 50, 30]);
  // The thresholds of epoch 3 in the second bracket come from its own trials alone.
  const second = trials.filter((_, i) => firstRungs[i] === 3);
  const last = trials.findLastIndex((_, i) => firstRungs[i] === 3);
  const at = rungsOf({ type: "hyperband" }, trials.slice(0, last), { epochs: 9 });
  expect(at).toEqual([{ epoch: 3, value: second[Math.floor((second.length - 1) / 3) - 1].value }]);
});

describe("the ranking", () => {
  const status = (status: EndedTrial["status"], rungs: EndedTrial["rungs"] = []): EndedTrial => ({
    values: {},
    status,
    value: null,
    rungs,
  });

  test("pruned trials come after those that succeeded, then those that failed", () => {
    const trials = [
      status("cancelled"),
      status("failed"),
      status("pruned", [{ epoch: 1, value: 0 }]),
      ended({}, 2),
      status("pruned", [{ epoch: 3, value: 9 }]),
      ended({}, 1),
      status("pruned", [{ epoch: 3, value: 8 }]),
      ended({}, Number.NaN),
    ];
    expect(ranked("minimize", trials)).toEqual([5, 3, 7, 6, 4, 2, 1, 0]);
    expect(ranked("maximize", trials)).toEqual([3, 5, 7, 4, 6, 2, 1, 0]);
  });

  test("of equal trials the lower number is better", () => {
    const trials = [status("failed"), ended({}, 1), ended({}, 1)];
    expect(bestOf("minimize", trials)).toBe(1);
    expect(ranked("maximize", trials)).toEqual([1, 2, 0]);
    expect(bestOf("minimize", [status("failed")])).toBeNull();
  });
});

test("the importance of a parameter is its share of the effects on the rank", () => {
  const all = [uniform("/strong", 0, 1), uniform("/none", 0, 1), choice("/weak", ["a", "b"])];
  const study = studyOf({ parameters: all });
  const trials = run(study, () => 0, 200).map(({ values }) =>
    ended(values, (values["/strong"] as number) * 3 + (values["/weak"] === "a" ? 0 : 1)),
  );
  const shares = Object.fromEntries(importances(study, trials).map((share, i) => [study.parameters[i].pointer, share]));
  expect(shares["/strong"]).toBeGreaterThan(3 * shares["/weak"]);
  expect(shares["/weak"]).toBeGreaterThan(0.02);
  expect(shares["/none"]).toBeLessThan(0.02);
  expect(importances(study, trials.slice(0, 2))).toEqual([0, 0, 0]);
});
