// The rows that are kept for a test of the final weights.
import { expect, test } from "vitest";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { classes, member, smallJob, train, type TrainOptions } from "../../support/training.ts";

const all = classes(210, 11);
/** Of every fifth row one half validates, and the other is kept. */
const validRows = all.validRows.filter((_, at) => at % 2 === 0);
const testRows = all.validRows.filter((_, at) => at % 2 === 1);

async function metricsOf(job: TrainingJob, options?: TrainOptions) {
  const { outcome, weights, state } = await train(job, options);
  if (!("metrics" in outcome)) throw new Error(outcome.type);
  return { type: outcome.type, metrics: outcome.metrics, reports: outcome.reports, weights, sha256: state!.sha256 };
}

test.each([
  ["at the last step", {}],
  ["of averages of the weights", { averaging: { type: "ema", decay: 0.9, start_step: 0, every_steps: 1 } as const }],
  [
    "after early stopping",
    { early_stopping: { metric: "valid_loss", mode: "max", patience: 1, min_delta: 0 } as const },
  ],
])("final weights are tested as they would be validated, and are no others: %s", async (_name, training) => {
  const job = (data: TrainingJob["data"]) => smallJob({ training, data });
  const tested = await metricsOf(job({ ...all, validRows, testRows }));
  const untested = await metricsOf(job({ ...all, validRows }));
  expect(tested).toMatchObject({ type: untested.type, weights: untested.weights });
  // A training that stops elsewhere shows nothing; its epochs are those of the tested one.
  const epochs = "early_stopping" in training ? 4 : 10;
  const validated = await metricsOf(
    smallJob({
      training: { averaging: null, ...training, early_stopping: null, epochs },
      data: { ...all, validRows: testRows },
    }),
  );
  const renamed = Object.entries(validated.metrics).map(([name, value]) => [name.replace("valid_", "test_"), value]);
  expect(tested.metrics).toEqual({ ...untested.metrics, ...Object.fromEntries(renamed) });
});

test("a final test needs no validation, and does not depend on threads or interruptions", async () => {
  const none = validRows.subarray(0, 0);
  const job = () => smallJob({ data: { ...all, validRows: none, testRows: all.validRows } });
  const alone = await train(job(), { everySteps: 13 });
  const { metrics, sha256 } = await metricsOf(job(), { threads: 3 });
  expect(Object.keys(metrics)).toContain("test_accuracy");
  expect(Object.keys(metrics).filter((name) => name.startsWith("valid_"))).toEqual([]);
  expect(sha256).toBe(alone.state!.sha256);
  for (const state of [...alone.checkpoints.values(), alone.state!.bytes])
    expect(await metricsOf(job(), { state, threads: 2 })).toMatchObject({ metrics, sha256 });
});

test("what is reported of the rows does not depend on threads, or on a restart after the end", async () => {
  const job = () => smallJob({ data: { ...all, validRows, testRows } });
  const { reports, metrics } = await metricsOf(job());
  const { state } = await train(job());
  for (const [side, rows] of [
    ["valid", validRows],
    ["test", testRows],
  ] as const) {
    const { targets, classes } = reports[side]!;
    const right = classes!.right.reduce((sum, count) => sum + count, 0);
    expect([targets, right / targets]).toEqual([rows.length, metrics[`${side}_accuracy`]]);
    expect(classes!.confusion!.map((row) => row.reduce((sum, count) => sum + count, 0))).toEqual(classes!.present);
  }
  for (const options of [{ threads: 3 }, { threads: 2, state: state!.bytes }])
    expect((await metricsOf(job(), options)).reports).toEqual(reports);
});

test("a regression is tested in the units of the data", async () => {
  const data = { ...all, targets: Float32Array.from(all.targets), target: { classes: null, mean: 1, std: 3 } };
  const shared = new Float32Array(new SharedArrayBuffer(4 * data.targets.length));
  shared.set(data.targets);
  const layers = [member("layers", "linear", { out_features: 1 })];
  const job = (rows: object) =>
    smallJob({ layers, loss: member("losses", "mse"), data: { ...data, targets: shared, ...rows } });
  const { metrics } = await metricsOf(job({ validRows, testRows }));
  const { metrics: validated } = await metricsOf(job({ validRows: testRows }));
  expect([metrics.test_r2, metrics.test_mae]).toEqual([validated.valid_r2, validated.valid_mae]);
});
