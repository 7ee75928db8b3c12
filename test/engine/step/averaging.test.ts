import { beforeAll, describe, expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import type { PlanError } from "../../../src/engine/plan/faults.ts";
import { shapeModel } from "../../../src/engine/plan/shapes.ts";
import { modelFile } from "../../../src/engine/state/model-files.ts";
import { forkState } from "../../../src/engine/state/state.ts";
import { member, smallJob, train, type JobChanges, type Trained } from "../../support/training.ts";
import type { Averaging } from "../../../src/engine/settings.ts";
import { inputOf } from "../../support/training.ts";

const ema = (decay: number, start_step = 0, every_steps = 1): Averaging => ({
  type: "ema",
  decay,
  start_step,
  every_steps,
});
const swa = (start_step = 0, every_steps = 1): Averaging => ({ type: "swa", start_step, every_steps });

const constant = { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 };
const STEPS = 14;
/** Layers without chance. */
const still = [member("layers", "linear", { out_features: 9 }), member("layers", "tanh"), member("layers", "linear")];

/** One step an epoch, so that the first steps of a longer job are those of a shorter one. */
const job = (steps: number, averaging: Averaging | null, changes: JobChanges = {}): TrainingJob =>
  smallJob({
    schedule: constant,
    ...changes,
    training: { batch_size: "full", epochs: steps, eval_every_epochs: 1, averaging, ...changes.training },
  });

type Weights = ReadonlyMap<string, Float32Array>;

/** The tensors of a file whose names begin with `prefix`, without it. */
function tensorsOf(file: Uint8Array, prefix = ""): Weights {
  const { tensors } = readSafetensors(file);
  const all = [...tensors].filter(([name]) => name.startsWith(prefix) && !(prefix === "" && /^[a-z]/.test(name)));
  return new Map(all.map(([name, { bytes }]) => [name.slice(prefix.length), new Float32Array(bytes.slice().buffer)]));
}

/** Averages of weights by step, as the formulas have them, in double. */
function averaged(weights: readonly Weights[], averaging: Averaging, name: string): number[] {
  let average: number[] | null = null;
  let n = 0;
  for (let t = averaging.start_step + averaging.every_steps; t < weights.length; t += averaging.every_steps) {
    const now = [...weights[t].get(name)!];
    const before: number[] = average ?? now;
    if (averaging.type === "swa") average = before.map((value, i) => value + (now[i] - value) / (n + 1));
    else average = before.map((value, i) => averaging.decay * value + (1 - averaging.decay) * now[i]);
    n++;
  }
  return average ?? [...weights.at(-1)!.get(name)!];
}

describe("averages of the weights", () => {
  const weights: Weights[] = [];

  beforeAll(async () => {
    weights.push(new Map());
    for (let t = 1; t <= STEPS; t++) weights.push(tensorsOf((await train(job(t, null))).state!.bytes));
  });

  const furthest = (actual: Weights, averaging: Averaging, steps: number) =>
    Math.max(
      ...[...actual].flatMap(([name, values]) => {
        const expected = averaged(weights.slice(0, steps + 1), averaging, name);
        return [...values].map((value, i) => Math.abs(value - expected[i]));
      }),
    );

  test.each([
    ema(0.9),
    ema(0.999),
    ema(0.3, 4),
    ema(0.8, 3, 4),
    ema(0, 2),
    swa(),
    swa(5),
    swa(1, 3),
    swa(0, STEPS),
    swa(STEPS - 1),
  ])("are those of the formula, and leave the training alone: %j", async (averaging) => {
    for (const steps of [3, 8, STEPS]) {
      const { state } = await train(job(steps, averaging));
      expect(tensorsOf(state!.bytes)).toEqual(weights[steps]);
      const actual = tensorsOf(state!.bytes, "evaluated.");
      expect([...actual.keys()]).toEqual([...weights[steps].keys()]);
      expect(furthest(actual, averaging, steps)).toBeLessThan(2e-7);
    }
  });

  test("are the weights themselves until there is an average, or if it keeps nothing", async () => {
    const evaluatedBy = async (steps: number, averaging: Averaging) =>
      tensorsOf((await train(job(steps, averaging))).state!.bytes, "evaluated.");
    expect(await evaluatedBy(6, swa(6))).toEqual(weights[6]);
    expect(await evaluatedBy(7, swa(6))).toEqual(weights[7]);
    expect(await evaluatedBy(9, swa(6, 3))).toEqual(weights[9]);
    expect(await evaluatedBy(11, swa(6, 3))).toEqual(weights[9]);
    expect(await evaluatedBy(9, ema(0))).toEqual(weights[9]);
  });

  test("are served, evaluated and kept as best", async () => {
    const evaluations: { step: number; loss: number }[] = [];
    const run = await train(
      job(STEPS, ema(0.8), { keepBest: true, optimizer: member("optimizers", "adam", { lr: 0.5 }) }),
      {
        evaluated: ({ step, metrics }) => evaluations.push({ step, loss: metrics.valid_loss }),
      },
    );
    const served = modelFile(run.state!.bytes, "final");
    expect(tensorsOf(served.bytes)).toEqual(tensorsOf(run.state!.bytes, "evaluated."));
    expect(tensorsOf(served.bytes)).not.toEqual(tensorsOf(run.state!.bytes));
    expect(await lossOf(served.bytes)).toBe(evaluations.at(-1)!.loss);
    const best = evaluations.toSorted((a, b) => a.loss - b.loss)[0];
    expect(best.step).toBeLessThan(STEPS);
    expect(run.outcome).toMatchObject({ best: { step: best.step, value: best.loss } });
    expect(await lossOf(modelFile(run.state!.bytes, "best").bytes)).toBe(best.loss);
  });

  /** The validation loss of a model file: that of a job which begins with it and does not move. */
  async function lossOf(model: Uint8Array): Promise<number> {
    const unmoved = job(1, null, { optimizer: member("optimizers", "sgd", { lr: 0 }) });
    const handlers = { log() {}, evaluated() {}, snapshot() {} };
    const crew = await Crew.start(unmoved, { threads: 1, everySteps: null, state: null, weights: model }, handlers);
    const outcome = await crew.run();
    if (outcome.type !== "completed") throw new Error("not completed");
    return outcome.metrics.valid_loss;
  }
});

const ordinary = Object.values(optimizers).filter(
  ({ evaluatesOthers, dialect }) => !evaluatesOthers && dialect === undefined,
);

test.each(ordinary.map(({ type }) => type))("averages include the last pass of %s", async (type) => {
  // With a decay of 0 they are the weights.
  const { state } = await train(job(5, ema(0), { optimizer: member("optimizers", type), layers: still }), {
    threads: 2,
  });
  expect(tensorsOf(state!.bytes, "evaluated.")).toEqual(tensorsOf(state!.bytes));
});

describe("averaging gives the same bytes", () => {
  const several = (optimizer: string, averaging: Averaging, training: object = {}) =>
    smallJob({
      optimizer: member("optimizers", optimizer),
      training: { epochs: 12, batch_size: 20, averaging, ...training },
      keepBest: true,
    });
  const cases: [string, () => TrainingJob][] = [
    ...["adam", "lamb", "muon", "adafactor", "prodigy", "asgd"].map((optimizer): [string, () => TrainingJob] => [
      optimizer,
      () => several(optimizer, ema(0.95, 30, 2)),
    ]),
    ["adam, clipped", () => several("adam", swa(30, 5), { clip_grad_norm: 0.5 })],
    ["adam, accumulating", () => several("adam", swa(), { gradient_accumulation_steps: 2, epochs: 24 })],
    [
      "lbfgs",
      () =>
        job(80, ema(0.9, 20), {
          optimizer: member("optimizers", "lbfgs", { max_iter: 3 }),
          layers: still,
        }),
    ],
  ];

  test.each(cases)(
    "under %s, from any number of threads, from every checkpoint, and after its end",
    async (_name, make) => {
      const alone = await train(make(), { everySteps: 19 });
      expect(alone.checkpoints.size).toBeGreaterThan(1);
      const same = (run: Trained) => expect(run.state?.sha256).toBe(alone.state?.sha256);
      for (const threads of [2, 3, 5]) same(await train(make(), { threads }));
      for (const state of alone.checkpoints.values()) same(await train(make(), { threads: 2, state }));
      const observed = await train({ ...make(), observe: { every_steps: 3, per_layer: false } });
      expect(observed.weights).toBe(alone.weights);
    },
  );
});

describe("a job that goes on from another's state", () => {
  const plain = () => smallJob();
  const averaging = () => smallJob({ training: { averaging: swa(31, 2) } });
  const successor = { optimizer: member("optimizers", "adam"), keepBest: false, groups: [] };

  test("may begin averages that the other did not have", async () => {
    const { checkpoints } = await train(plain(), { everySteps: 30 });
    const state = forkState(checkpoints.get(30)!, {}, { ...successor, evaluatesOthers: true }).bytes;
    const fork = await train(averaging(), { state });
    expect(fork.state!.sha256).toBe((await train(averaging())).state!.sha256);
    expect(fork.weights).not.toBe((await train(plain())).weights);
  });

  test("may stop averaging", async () => {
    const { state } = await train(smallJob({ training: { averaging: ema(0.9), epochs: 5 } }));
    const before = forkState(state!.bytes, { finished: null }, { ...successor, evaluatesOthers: false }).bytes;
    expect((await train(plain(), { state: before })).weights).toBe((await train(plain())).weights);
  });
});

test("frozen weights have no averages, and are served as they are", async () => {
  const frozen = { parameters: "0.*", lr: null, lr_scale: 1, weight_decay: null, freeze: true };
  const { state } = await train({ ...job(5, ema(0.9)), groups: [frozen] });
  const names = [...readSafetensors(state!.bytes).tensors.keys()];
  expect(names).toContain("evaluated.3.weight");
  expect(names).not.toContain("evaluated.0.weight");
  const served = tensorsOf(modelFile(state!.bytes, "final").bytes);
  expect(served.get("0.weight")).toEqual(tensorsOf(state!.bytes).get("0.weight"));
  expect(served.size).toBe(tensorsOf(state!.bytes).size);
});

test("optimizers that already evaluate other weights refuse averages", () => {
  const faults = (optimizer: string) => {
    try {
      shapeModel({
        ...job(1, ema(0.9)),
        optimizer: member("optimizers", optimizer),
        inputs: [inputOf(11)],
        target: { classes: 3, shape: [] },
        batchRows: 168,
        smallestBatch: 1,
        trainRows: 168,
        evaluatedRows: 0,
        threads: 1,
      });
      return [];
    } catch (error) {
      return (error as PlanError).faults.map(({ pointer, message }) => `${pointer} ${message}`);
    }
  };
  expect(faults("adamw")).toEqual([]);
  for (const type of ["lookahead", "schedule_free_adamw"])
    expect(faults(type)).toEqual([`/training/averaging must be null: ${type} is evaluated with averages of its own`]);
});
