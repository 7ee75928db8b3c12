import { describe, expect, test } from "vitest";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { metricsOf } from "../../../src/engine/step/evaluation.ts";
import { EVALUATION_DOUBLES, type Plan } from "../../../src/engine/plan/model.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { modelFile } from "../../../src/engine/state/model-files.ts";
import type { TargetKind, TrainingData } from "../../../src/engine/training.ts";
import { Bench } from "../../support/kernels.ts";
import { classes, member, smallJob, train, type JobChanges, type Trained } from "../../support/training.ts";
import { schedule, values } from "../detectors/jobs.ts";
import { featuresOf } from "../../support/training.ts";

/** The metrics of rows that were recorded: loss, divisor, target, prediction, log loss. */
function metrics(
  rows: readonly (readonly number[])[],
  targets: TargetKind,
  { std = 1, outputs = 1, boundary = 0 } = {},
) {
  const bench = new Bench();
  const evaluation = bench.reserve(rows.length * EVALUATION_DOUBLES * 8);
  const columns = Array.from({ length: EVALUATION_DOUBLES }, (_, i) => rows.map((row) => row[i]));
  bench.kernels.f64.set(columns.flat(), evaluation >> 3);
  const plan = {
    addresses: { evaluation, scores: evaluation },
    outputs,
    targetSize: 1,
    prediction: [outputs],
    scoresPerTarget: 0,
  } as unknown as Plan;
  const names = outputs > 1 ? Array.from({ length: outputs }, (_, i) => String(i)) : null;
  const data = { target: { classes: names, mean: 100, std } };
  return metricsOf(bench.kernels, plan, data as unknown as TrainingData, Int32Array.from(rows.keys()), {
    targets,
    boundary,
  });
}

/** Rows of a class each, and what was predicted. */
const classified = (rows: readonly (readonly [target: number, prediction: number])[], outputs = 4) =>
  metrics(
    rows.map(([target, prediction]) => [1, 1, target, prediction, 0]),
    "class",
    { outputs },
  );

const predicted = (rows: readonly (readonly [target: number, prediction: number])[], std = 1) =>
  metrics(
    rows.map(([target, prediction]) => [(target - prediction) ** 2, 1, target, prediction, 0]),
    "value",
    { std },
  );

describe("metrics of classes", () => {
  test("leave a class that neither occurs nor is predicted out of the mean of F1", () => {
    // F1 of 0: 2/3, of 1: 1/2, of 2: 0.
    const { valid_accuracy, valid_macro_f1 } = classified([
      [0, 0],
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
    expect(valid_accuracy).toBe(0.5);
    expect(valid_macro_f1).toBeCloseTo((2 / 3 + 1 / 2 + 0) / 3, 12);
  });

  test("count a class that is predicted but does not occur, or the reverse, as 0", () => {
    expect(
      classified([
        [0, 0],
        [0, 3],
      ]).valid_macro_f1,
    ).toBeCloseTo((2 / 3 + 0) / 2, 12);
    expect(
      classified([
        [1, 1],
        [2, 1],
      ]).valid_macro_f1,
    ).toBeCloseTo((2 / 3 + 0) / 2, 12);
  });

  test('choose the first of equal logits, and "no" if a single logit is 0', async () => {
    const zeros = [member("layers", "linear", { out_features: null, weight_init: "zeros", bias_init: "zeros" })];
    const still = { layers: zeros, optimizer: member("optimizers", "sgd", { lr: 0 }), training: { epochs: 2 } };
    const data = classes(210, 11);
    const first = [...data.validRows].filter((row) => data.targets[row] === 0).length / data.validRows.length;
    expect((await metricsAfter(smallJob({ ...still, data }))).valid_accuracy).toBeCloseTo(first, 12);
    const yesOrNo = binary();
    const no = [...yesOrNo.validRows].filter((row) => yesOrNo.targets[row] === 0).length / yesOrNo.validRows.length;
    expect(no).not.toBeCloseTo(0.5, 2);
    const loss = member("losses", "bce_with_logits");
    expect((await metricsAfter(smallJob({ ...still, data: yesOrNo, loss }))).valid_accuracy).toBeCloseTo(no, 12);
  });
});

test("targets of the class that the loss ignores count in no metric", async () => {
  const data = classes(210, 11);
  const counts = (row: number) => data.targets[row] !== 1;
  const loss = member("losses", "cross_entropy", { ignore_class: "1" });
  const still = { layers: [member("layers", "linear")], loss, optimizer: member("optimizers", "sgd", { lr: 0 }) };
  const all = await metricsAfter(smallJob({ ...still, data }));
  const those = await metricsAfter(smallJob({ ...still, data: { ...data, validRows: data.validRows.filter(counts) } }));
  expect(data.validRows.every(counts)).toBe(false);
  expect(all).toEqual(those);
  const none = data.validRows.filter((row) => !counts(row));
  expect(await metricsAfter(smallJob({ ...still, data: { ...data, validRows: none } }))).toMatchObject({
    valid_loss: 0,
    valid_accuracy: NaN,
    valid_perplexity: NaN,
  });
});

test("an answer is yes above the boundary of the loss", () => {
  const rows = [0.25, 0.75].map((output) => [1, 1, 1, output, 0]);
  expect(metrics(rows, "probability", { boundary: losses.bce.boundary }).valid_accuracy).toBe(0.5);
  expect(metrics(rows, "probability", { boundary: losses.bce_with_logits.boundary ?? 0 }).valid_accuracy).toBe(1);
});

test("a network that ends in probabilities learns under bce and nll as under the losses of logits", async () => {
  const data = classes(210, 11);
  const trained = async (loss: string, end: string | null, given = data) => {
    const linear = member("layers", "linear");
    const layers = end === null ? [linear] : [linear, member("layers", end, end === "log_softmax" ? { dim: -1 } : {})];
    const { outcome } = await train(smallJob({ layers, loss: member("losses", loss), data: given }));
    return (outcome as { metrics: Record<string, number> }).metrics;
  };
  const close = (one: Record<string, number>, other: Record<string, number>) => {
    expect(Object.keys(one)).toEqual(Object.keys(other));
    for (const [name, value] of Object.entries(one)) expect(value, name).toBeCloseTo(other[name], 3);
  };
  close(await trained("nll", "log_softmax"), await trained("cross_entropy", null));
  const yes = Float32Array.from(data.targets, (target) => Number(target === 1));
  const binary = { ...data, targets: yes, target: { classes: null, mean: 0, std: 1 } };
  close(await trained("bce", "sigmoid", binary), await trained("bce_with_logits", null, binary));
});

describe("metrics of probabilities", () => {
  const linear = [member("layers", "linear")];
  const job = (data: TrainingData, type: string, options: object = {}, lr = 0.1) =>
    smallJob({
      layers: linear,
      data,
      loss: member("losses", type, { ...options }),
      optimizer: member("optimizers", "sgd", { lr }),
      training: { epochs: 2 },
    });

  /** Log loss and area by the textbook from the weights, which are a single layer's. */
  async function byHand(trained: TrainingJob) {
    const { outcome, state } = await train(trained);
    const { tensors } = readSafetensors(modelFile(state!.bytes, "final").bytes);
    const floats = (name: string) => {
      const { bytes } = tensors.get(name)!;
      return new Float32Array(bytes.slice().buffer);
    };
    const [weight, bias] = [floats("0.weight"), floats("0.bias")];
    const { targets, validRows } = trained.data;
    const features = featuresOf(trained.data);
    const [width] = trained.data.inputs[0].shape;
    const rows = [...validRows].map((row) => {
      const x = [...features.subarray(row * width, (row + 1) * width)];
      const logits = [...bias].map((b, i) => x.reduce((sum, value, j) => sum + value * weight[i * width + j], b));
      const all = logits.length === 1 ? [0, logits[0]] : logits;
      const sum = all.reduce((total, logit) => total + Math.exp(logit), 0);
      return { target: targets[row], probabilities: all.map((logit) => Math.exp(logit) / sum) };
    });
    const classCount = rows[0].probabilities.length;
    const areas = Array.from({ length: classCount }, (_, i) => {
      const own = rows.filter(({ target }) => target === i).map(({ probabilities }) => probabilities[i]);
      const rest = rows.filter(({ target }) => target !== i).map(({ probabilities }) => probabilities[i]);
      const right = own.flatMap((a) => rest.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
      return right.reduce((total: number, value) => total + value, 0) / right.length;
    });
    const auc = classCount === 2 ? areas[1] : areas.reduce((total, area) => total + area, 0) / classCount;
    const logLoss = rows.reduce((total, row) => total - Math.log(row.probabilities[row.target]), 0) / rows.length;
    if (outcome.type !== "completed") throw new Error(outcome.type);
    return { metrics: outcome.metrics, auc, logLoss };
  }

  const merged = (data: TrainingData): TrainingData => ({
    ...data,
    targets: data.targets.map((target) => Math.min(target, 1)),
    target: { ...data.target, classes: ["no", "yes"] },
  });

  test.each([
    ["three classes", job(classes(210, 11), "cross_entropy", { label_smoothing: 0.2, weight: { "2": 5 } })],
    ["two classes", job(merged(classes(210, 11)), "cross_entropy", { weight: { yes: 3 } })],
    ["one logit", job(binary(), "bce_with_logits", { pos_weight: [4] })],
  ])("are those of the predictions, and do not know the loss' weights: %s", async (_name, trained) => {
    const { metrics: found, auc, logLoss } = await byHand(trained);
    expect(found.valid_auc).toBeCloseTo(auc, 12);
    expect(auc).toBeGreaterThan(0.6);
    expect(found.valid_log_loss).toBeCloseTo(logLoss, 5);
    expect(found.valid_log_loss).not.toBeCloseTo(found.valid_loss, 2);
  });

  test("have ties if all predictions are equal, and no area if there is one class", async () => {
    const zeros = [member("layers", "linear", { weight_init: "zeros", bias_init: "zeros" })];
    const still = (data: TrainingData) =>
      metricsAfter({ ...job(data, "cross_entropy", {}, 0), model: { layers: zeros } });
    const data = classes(210, 11);
    expect(await still(data)).toMatchObject({ valid_auc: 0.5, valid_log_loss: expect.closeTo(Math.log(3), 6) });
    expect(
      (await still({ ...data, validRows: data.validRows.filter((row) => data.targets[row] === 1) })).valid_auc,
    ).toBeNaN();
  });

  test("are undefined for targets that are probabilities, except the log loss", async () => {
    const soft = binary();
    soft.targets[soft.validRows[3]] = 0.25;
    const { metrics: found } = await byHand(job(soft, "bce_with_logits"));
    expect(found).toMatchObject({ valid_accuracy: NaN, valid_macro_f1: NaN, valid_auc: NaN });
    expect(found.valid_log_loss).toBe(found.valid_loss);
  });
});

function binary(): TrainingData {
  const data = values(200);
  data.targets.forEach((value, row) => (data.targets[row] = Number(value > 0.4)));
  return data;
}

async function metricsAfter(job: TrainingJob): Promise<Readonly<Record<string, number>>> {
  const { outcome } = await train(job);
  if (outcome.type !== "completed") throw new Error(outcome.type);
  return outcome.metrics;
}

describe("metrics of values", () => {
  test("are in the units of the data", () => {
    const rows = [
      [-1, -1.5],
      [0, 0.25],
      [1, 1],
    ] as const;
    expect(predicted(rows).valid_mae).toBeCloseTo(0.25, 12);
    expect(predicted(rows, 40).valid_mae).toBeCloseTo(10, 12);
    expect(predicted(rows).valid_rmse).toBeCloseTo(Math.sqrt((0.25 + 0.0625) / 3), 12);
    expect(predicted(rows, 40).valid_rmse).toBeCloseTo(40 * Math.sqrt((0.25 + 0.0625) / 3), 12);
    for (const std of [1, 40]) expect(predicted(rows, std).valid_r2).toBeCloseTo(1 - (0.25 + 0.0625) / 2, 12);
  });

  test("have scikit-learn's R² for a target that does not vary", () => {
    // Targets are float32.
    const target = Math.fround(0.1);
    const constant = (...predictions: number[]) => predicted(predictions.map((value) => [target, value])).valid_r2;
    expect(constant(target, target, target)).toBe(1);
    expect(constant(target, 0.2, target)).toBe(0);
    expect(constant(0.5)).toBe(0);
    expect(constant(target, NaN)).toBeNaN();
    expect(constant(target, Infinity)).toBe(0);
  });
});

test("a job is also evaluated after its last step, if that is not a regular evaluation", async () => {
  const job = smallJob({ training: { epochs: 5, eval_every_epochs: 2 } });
  const { evaluations, outcome } = await followed(job, "valid_loss");
  expect(evaluations.map(({ step }) => step)).toEqual([12, 24, 30]);
  expect(outcome).toMatchObject({ step: 30, metrics: { valid_loss: evaluations[2].value } });
});

interface Followed extends Trained {
  readonly evaluations: readonly { readonly step: number; readonly improved: boolean; readonly value: number }[];
}

async function followed(job: TrainingJob, metric: string, options: object = {}): Promise<Followed> {
  const evaluations: { step: number; improved: boolean; value: number }[] = [];
  const trained = await train(job, {
    evaluated: ({ step, improved, metrics: all }) => evaluations.push({ step, improved, value: all[metric] }),
    ...options,
  });
  return { ...trained, evaluations };
}

describe("a metric that should rise", () => {
  const job = (epochs: number, changes: JobChanges = {}) =>
    smallJob({
      schedule: schedule("constant"),
      optimizer: member("optimizers", "adam", { lr: 0.03 }),
      keepBest: true,
      ...changes,
      training: {
        epochs,
        eval_every_epochs: 1,
        early_stopping: { metric: "valid_accuracy", mode: "max", patience: 3, min_delta: 0.03 },
        ...changes.training,
      },
    });

  test("stops a job after `patience` evaluations that are no better, and the best weights are those of its peak", async () => {
    const { outcome, evaluations, state } = await followed(job(100), "valid_accuracy", { threads: 2 });
    let best = -Infinity;
    let close = 0;
    for (const { value, improved } of evaluations) {
      expect(improved).toBe(value > best + 0.03);
      close += Number(value > best && !improved);
      if (improved) best = value;
    }
    // One row more of 42.
    expect(close).toBeGreaterThan(0);
    expect(outcome).toMatchObject({ type: "early_stopping", best: { metric: "valid_accuracy", value: best } });
    expect(evaluations.slice(-4).map(({ improved }) => improved)).toEqual([true, false, false, false]);
    const peak = evaluations.at(-4)!.step;
    expect(outcome).toMatchObject({ best: { step: peak } });
    const until = await train(job(peak / evaluations[0].step, { training: { early_stopping: null } }));
    expect(modelFile(state!.bytes, "best").sha256).toBe(modelFile(until.state!.bytes, "final").sha256);
  });
});

describe("a metric that is not finite", () => {
  /** Whose validation loss is beyond float32, while it learns. */
  const beyond = (changes: JobChanges = {}) => {
    const data = values(100);
    const [width] = data.inputs[0].shape;
    for (const row of data.validRows) featuresOf(data).fill(1e30, row * width, (row + 1) * width);
    return smallJob({
      layers: [member("layers", "linear")],
      loss: member("losses", "mse"),
      optimizer: member("optimizers", "sgd", { lr: 0.01 }),
      schedule: schedule("constant"),
      data,
      keepBest: true,
      ...changes,
      training: { epochs: 12, eval_every_epochs: 1, log_every_steps: 1, ...changes.training },
    });
  };

  test("is no improvement, and a resumed run stops at the same step", async () => {
    const patient = () =>
      beyond({ training: { early_stopping: { metric: "valid_loss", mode: "min", patience: 4, min_delta: 0 } } });
    // Three steps an epoch: between the second evaluation and the third.
    const options = { everySteps: 7 };
    const { outcome, evaluations, checkpoints, state } = await followed(patient(), "valid_loss", options);
    expect(evaluations.map(({ step, value, improved }) => [step, value, improved])).toEqual(
      [3, 6, 9, 12].map((step) => [step, Infinity, false]),
    );
    expect(outcome).toMatchObject({ type: "early_stopping", best: null, step: 12 });
    const resumed = await train(patient(), { state: checkpoints.get(7)! });
    expect(resumed.outcome).toEqual(outcome);
    expect(resumed.state!.sha256).toBe(state!.sha256);
  });

  test("is the same after a state file is read back", async () => {
    const { outcome, state } = await train(beyond());
    expect(outcome).toMatchObject({ metrics: { valid_loss: Infinity } });
    expect((await train(beyond(), { state: state!.bytes })).outcome).toEqual(outcome);
    expect(readSafetensors(state!.bytes).metadata.progress).toContain('"valid_loss":{"$number":"Infinity"}');
  });
});
