/** Analytic functions that samplers are measured on, and the running of a study in memory. */
import { withDefaults } from "../../src/engine/member/options.ts";
import { neededBy, planTrial } from "../../src/studies/plan.ts";
import { pruners } from "../../src/studies/pruners/registry.generated.ts";
import { samplers } from "../../src/studies/samplers/registry.generated.ts";
import { ordered, type Domain, type Parameter } from "../../src/studies/space.ts";
import type { EndedTrial, Study } from "../../src/studies/study.ts";

export const parameter = (pointer: string, domain: Domain, when: Parameter["when"] = {}): Parameter => ({
  pointer,
  domain,
  when,
});
export const uniform = (pointer: string, low: number, high: number, when?: Parameter["when"]) =>
  parameter(pointer, { kind: "uniform", low, high }, when);
export const choice = (pointer: string, values: readonly unknown[], when?: Parameter["when"]) =>
  parameter(pointer, { kind: "choice", values }, when);

export interface StudyOptions {
  readonly parameters: readonly Parameter[];
  readonly sampler?: Readonly<Record<string, unknown>> & { readonly type: string };
  readonly pruner?: Readonly<Record<string, unknown>> & { readonly type: string };
  readonly spec?: unknown;
  readonly direction?: Study["direction"];
  readonly seed?: number;
  readonly parallel?: number;
  readonly epochs?: number;
}

export function studyOf({ parameters, sampler, pruner, ...rest }: StudyOptions): Study {
  const top = Object.fromEntries(parameters.map(({ pointer }) => [pointer.slice(1), 0]));
  const member = (registry: typeof samplers | typeof pruners, given: StudyOptions["sampler"], type: string) =>
    withDefaults(registry[given?.type ?? type], given);
  return {
    parameters: ordered(parameters)!,
    spec: top,
    direction: "minimize",
    seed: 0,
    parallel: 1,
    epochs: 27,
    ...rest,
    sampler: member(samplers, sampler, "random"),
    pruner: member(pruners, pruner, "none"),
  };
}

type Values = Readonly<Record<string, number>>;
export type Objective = (values: Values) => number;

/** Runs trials one after the other; a trial's plan sees only what it needs. */
export function run(study: Study, objective: Objective, count: number): EndedTrial[] {
  const trials: EndedTrial[] = [];
  for (let i = 0; i < count; i++) {
    const { values } = planTrial(
      study,
      i,
      trials.slice(0, neededBy(study, i)),
      trials.map((trial) => trial.values),
    );
    const value = objective(values as Values);
    trials.push(ended(values, value));
  }
  return trials;
}

export const ended = (values: EndedTrial["values"], value: number, rungs: EndedTrial["rungs"] = []): EndedTrial => ({
  values,
  status: "succeeded",
  value,
  rungs,
});

const hartmann = {
  a: [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
  ],
  p: [
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
  ],
  alpha: [1, 1.2, 3, 3.2],
};
const six = ["/a", "/b", "/c", "/d", "/e", "/f"];
const four = six.slice(0, 4);
const meanOf = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

/** The value at the optimum is 0. */
export const functions: readonly { name: string; parameters: readonly Parameter[]; f: Objective }[] = [
  {
    name: "branin",
    parameters: [uniform("/x", -5, 10), uniform("/y", 0, 15)],
    f: ({ "/x": x, "/y": y }) => {
      const bowl = y - (5.1 / (4 * Math.PI ** 2)) * x * x + (5 / Math.PI) * x - 6;
      return bowl * bowl + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10 - 0.397887;
    },
  },
  {
    name: "hartmann of 6 numbers",
    parameters: six.map((pointer) => uniform(pointer, 0, 1)),
    f: (values) =>
      3.32237 -
      hartmann.a.reduce((sum, row, i) => {
        const off = row.reduce((all, a, j) => all + a * (values[six[j]] - hartmann.p[i][j] * 1e-4) ** 2, 0);
        return sum + hartmann.alpha[i] * Math.exp(-off);
      }, 0),
  },
  {
    name: "ackley of 4 numbers",
    parameters: four.map((pointer) => uniform(pointer, -5, 5)),
    f: (values) => {
      const x = four.map((pointer) => values[pointer] - 1);
      const squares = meanOf(x.map((each) => each * each));
      const waves = meanOf(x.map((each) => Math.cos(2 * Math.PI * each)));
      return -20 * Math.exp(-0.2 * Math.sqrt(squares)) - Math.exp(waves) + 20 + Math.E;
    },
  },
];
