/**
 * Searches of real spaces: the objective of a trial is the validation loss of the model that it
 * trains, on tables in examples/.
 */
import { expect, test } from "vitest";
import { bestOf } from "../../src/studies/ranking.ts";
import { neededBy, planTrial } from "../../src/studies/plan.ts";
import type { Parameter } from "../../src/studies/space.ts";
import type { EndedTrial, Study } from "../../src/studies/study.ts";
import type { Changes } from "../sets/support.ts";
import { exampleJobs, trainAll, validLoss } from "../support/examples.ts";
import { choice, ended, parameter, studyOf, uniform } from "./functions.ts";

const TRIALS = 60;
const SEEDS = 20;

const linear = (outputs: number | null) => ({ type: "linear", out_features: outputs });
const layers = [linear(8), { type: "relu" }, { type: "dropout", p: 0 }, linear(null)];

const spaceOf = (optimizers: readonly object[]): readonly Parameter[] => [
  choice("/optimizer", optimizers),
  parameter("/optimizer/lr", { kind: "log_uniform", low: 1e-4, high: 1 }),
  uniform("/optimizer/momentum", 0, 0.99, { "/optimizer/type": ["sgd"] }),
  parameter("/optimizer/weight_decay", { kind: "log_uniform", low: 1e-5, high: 0.3 }),
  parameter("/model/layers/0/out_features", { kind: "int", low: 2, high: 32 }),
  uniform("/model/layers/2/p", 0, 0.6),
];

const spaces = [
  {
    name: "breast_cancer",
    loss: { type: "cross_entropy" },
    optimizers: [{ type: "sgd" }, { type: "adamw" }, { type: "rmsprop" }],
  },
  { name: "diabetes", loss: { type: "mse" }, optimizers: [{ type: "sgd" }, { type: "adamw" }, { type: "lion" }] },
];

/** The best loss that each of the searches finds. They advance together: models share packs. */
function bests(searches: readonly Study[], train: (specs: readonly Changes[]) => number[]): number[] {
  const all = searches.map((): EndedTrial[] => []);
  for (let number = 0; number < TRIALS; number++) {
    const planned = searches.map((study, i) => {
      const values = all[i].map((trial) => trial.values);
      return planTrial(study, number, all[i].slice(0, neededBy(study, number)), values);
    });
    for (const [i, loss] of train(planned.map(({ spec }) => spec as Changes)).entries()) {
      const trial = ended(planned[i].values, loss);
      all[i].push(Number.isFinite(loss) ? trial : { ...trial, status: "failed", value: null });
    }
  }
  return all.map((trials) => trials[bestOf("minimize", trials)!].value!);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[SEEDS / 2 - 1] + sorted[SEEDS / 2]) / 2;
}

test.each(spaces)(
  "tpe finds better models than random search does on $name",
  async ({ name, loss, optimizers }) => {
    const spec = { model: { layers }, loss, optimizer: optimizers[0], training: { epochs: 6, batch_size: 32 } };
    const jobOf = await exampleJobs(name, spec);
    const train = (specs: readonly Changes[]) => trainAll(specs.map((each) => jobOf(each))).map(validLoss);
    const searches = (type: string) =>
      Array.from({ length: SEEDS }, (_, seed) => ({
        ...studyOf({ parameters: spaceOf(optimizers), seed, parallel: 4, sampler: { type } }),
        spec,
      }));
    const [tpe, random] = ["tpe", "random"].map((type) => bests(searches(type), train));
    expect(median(tpe)).toBeLessThan(median(random));
  },
  60_000,
);
