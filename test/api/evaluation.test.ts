// What a job keeps of the evaluation of its final weights.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Evaluation } from "../../src/contract/wire/evaluation.ts";
import { csvOf, features, field, ROWS, startTraining, VALID, type Row } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
beforeAll(async () => {
  training = await startTraining();
});
afterAll(() => training.stop());

let dataset: string;
beforeAll(async () => {
  dataset = (await training.service.upload(csvOf(ROWS))).id;
});

test("a job keeps what it gets right by class, which stays when the dataset is gone", async () => {
  const extra = (await training.service.upload(csvOf(ROWS.map((row) => ({ ...row, extra: 1 }))))).id;
  const split = { validation: { every: 5 }, test: { tail: 0.25 } };
  const tested = await training.trained({ data: { dataset: extra, features, target: "label", ...split } });
  expect((await training.service.call("DELETE", `/v1/datasets/${extra}`)).status).toBe(204);
  const held = { valid: ROWS.slice(0, 45).filter((_, i) => i % 5 === 0), test: ROWS.slice(45) };
  for (const [which, rows] of Object.entries(held)) {
    const guesses = field((await training.predict(tested.id, { rows })).predictions, "class");
    const classes = ["cat", "dog", "emu"];
    const confusion = classes.map((label) =>
      classes.map((guess) => rows.filter((row, i) => row.label === label && guesses[i] === guess).length),
    );
    const { status, body } = await training.service.call("GET", `/v1/jobs/${tested.id}/evaluation?split=${which}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ job_id: tested.id, split: which, targets: rows.length, confusion, values: null });
    for (const [i, entry] of (body as Evaluation).classes!.entries()) {
      const [found, taken] = [confusion[i].reduce((a, b) => a + b), confusion.reduce((sum, row) => sum + row[i], 0)];
      expect(entry).toMatchObject({ class: classes[i], rows: found, predicted: taken });
      expect(entry.recall).toBe(found === 0 ? null : confusion[i][i] / found);
      expect(entry.precision).toBe(taken === 0 ? null : confusion[i][i] / taken);
    }
  }
  const untested = await training.trained({ data: { dataset, features, target: "label", validation: { every: 5 } } });
  const none = await training.service.call("GET", `/v1/jobs/${untested.id}/evaluation?split=test`);
  expect([none.status, none.body.detail]).toEqual([404, expect.stringContaining("data.test")]);
});

test("a job keeps the errors of each column", async () => {
  const target = ["price", "weight"];
  const validation = { every: 5 };
  const two = await training.trained({ data: { dataset, features, target, validation }, loss: { type: "mse" } });
  const guesses = field((await training.predict(two.id, { rows: VALID })).predictions, "values") as Record<
    string,
    number
  >[];
  const { values } = (await training.service.call("GET", `/v1/jobs/${two.id}/evaluation`)).body as Evaluation;
  for (const [i, column] of target.entries()) {
    const truth = VALID.map((row) => (row as Row)[column] as number);
    const errors = guesses.map((guess, at) => guess[column] - truth[at]).sort((a, b) => a - b);
    const mean = truth.reduce((sum, value) => sum + value) / truth.length;
    const squares = (list: number[]) => list.reduce((sum, value) => sum + value * value, 0);
    expect(values![i].column).toBe(column);
    expect(values![i].r2).toBeCloseTo(1 - squares(errors) / squares(truth.map((value) => value - mean)), 4);
    expect(values![i].rmse).toBeCloseTo(Math.sqrt(squares(errors) / errors.length), 4);
    const { min, p25, p50, max } = values![i].residuals;
    const middle = (errors[5] + errors[6]) / 2;
    for (const [found, expected] of [
      [min, errors[0]],
      [p50, middle],
      [max, errors[11]],
    ])
      expect(found).toBeCloseTo(expected!, 4);
    expect(p25).toBeCloseTo(errors[2] + 0.75 * (errors[3] - errors[2]), 4);
  }
});
