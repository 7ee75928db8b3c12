/** Rows and classes that count more than others. */
import { describe, expect, test } from "vitest";
import type { TrainingData } from "../../../src/engine/training.ts";
import { classes, member, smallJob, train, type JobChanges } from "../../support/training.ts";

function shared<T extends Int32Array | Float64Array>(Type: new (buffer: SharedArrayBuffer) => T, values: number[]): T {
  const copy = new Type(new SharedArrayBuffer(values.length * (Type.name === "Int32Array" ? 4 : 8)));
  copy.set(values);
  return copy;
}

const weighed = (data: TrainingData, of: (row: number) => number): TrainingData => ({
  ...data,
  weights: shared(
    Float64Array,
    Array.from({ length: data.targets.length }, (_, row) => of(row)),
  ),
});

/** The same rows, each as often as its weight says. */
function repeated(data: TrainingData, of: (row: number) => number): TrainingData {
  const often = (rows: Int32Array) =>
    shared(
      Int32Array,
      [...rows].flatMap((row) => Array.from({ length: of(row) }, () => row)),
    );
  return { ...data, trainRows: often(data.trainRows), validRows: often(data.validRows) };
}

async function curve(data: TrainingData, changes: JobChanges = {}) {
  const valid: number[] = [];
  const layers = [
    member("layers", "linear", { out_features: 9 }),
    member("layers", "tanh"),
    member("layers", "linear"),
  ];
  const training = { batch_size: "full", shuffle: false, log_every_steps: 1, eval_every_epochs: 1 } as const;
  const job = smallJob({ layers, ...changes, data, training: { ...training, ...changes.training } });
  const { losses } = await train(job, {
    evaluated: ({ metrics }) => valid.push(...Object.values(metrics)),
  });
  return [...losses.map(([, loss]) => loss), ...valid];
}

const counts = (row: number) => [1, 3, 0, 2][row % 4];
const rows = classes(60, 5);
const numbers = { ...rows, targets: Float32Array.from(rows.targets), target: { classes: null, mean: 0, std: 1 } };

describe("a row of weight n counts like n rows", () => {
  test.each<[string, TrainingData, JobChanges]>([
    ["cross_entropy", rows, {}],
    ["cross_entropy", rows, { loss: member("losses", "cross_entropy", { weight: { 2: 5 }, label_smoothing: 0.1 }) }],
    ["cross_entropy", rows, { training: { batch_size: "full", gradient_accumulation_steps: 1 } }],
    ["mse", numbers, { loss: member("losses", "mse") }],
    ["huber", numbers, { loss: member("losses", "huber") }],
  ])("%s %#", async (_, data, changes) => {
    const [one, many] = [await curve(weighed(data, counts), changes), await curve(repeated(data, counts), changes)];
    expect(one.length).toBe(many.length);
    for (const [i, loss] of one.entries()) expect(loss).toBeCloseTo(many[i], 5);
  });
});

test("weights of 1 change nothing, and weights of 0 make no gradient", async () => {
  const job = (data: TrainingData) => smallJob({ data, training: { epochs: 3, batch_size: 8 } });
  const { losses } = await train(job(rows));
  const same = await train(job(weighed(rows, () => 1)));
  for (const [i, [, loss]] of same.losses.entries()) expect(loss).toBeCloseTo(losses[i][1], 6);
  const none = await train(
    smallJob({ data: weighed(rows, () => 0), optimizer: member("optimizers", "sgd", { lr: 1 }) }),
  );
  expect(none.losses.every(([, loss]) => loss === 0)).toBe(true);
});

test("weights of classes from the data are those of the loss", async () => {
  const weight = { 0: 0.5, 1: 2, 2: 3 };
  const fromLoss = await train(smallJob({ data: rows, loss: member("losses", "cross_entropy", { weight }) }));
  const fromData = await train(smallJob({ data: { ...rows, classWeights: Object.values(weight) } }));
  expect(fromData.state?.sha256).toBe(fromLoss.state?.sha256);
});

test("the same bytes from any number of threads, and from a checkpoint", async () => {
  const data = { ...weighed(rows, (row) => (row % 7) / 3), classWeights: [1, 0.3, 2] };
  const job = smallJob({ data, training: { epochs: 3, batch_size: 7, gradient_accumulation_steps: 2 } });
  const whole = await train(job, { threads: 1, everySteps: 5 });
  for (const threads of [2, 5]) expect((await train(job, { threads })).state?.sha256).toBe(whole.state?.sha256);
  const [[, state]] = [...whole.checkpoints];
  expect((await train(job, { threads: 2, state })).state?.sha256).toBe(whole.state?.sha256);
});

test("weights of the loss alone weigh the loss, and no other metric", async () => {
  const metrics = async (data: TrainingData) => {
    const found: Readonly<Record<string, number>>[] = [];
    const optimizer = member("optimizers", "sgd", { lr: 0 });
    await train(smallJob({ data, optimizer }), { evaluated: (evaluation) => found.push(evaluation.metrics) });
    return found.at(-1)!;
  };
  const { weights: lossWeights, ...data } = weighed(rows, counts);
  const [plain, both, alone] = [
    await metrics(rows),
    await metrics(weighed(rows, counts)),
    await metrics({ ...data, lossWeights }),
  ];
  expect(alone).toEqual({ ...plain, valid_loss: both.valid_loss });
  expect(both.valid_loss).not.toBe(plain.valid_loss);
  expect(both.valid_accuracy).not.toBe(plain.valid_accuracy);
});
