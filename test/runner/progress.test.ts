import { expect, test } from "vitest";
import type { TrainingJob } from "../../src/engine/job.ts";
import { RunProgress } from "../../src/runner/progress.ts";
import type { Finding } from "../../src/contract/schema/diagnosis.ts";

const job = {
  training: { epochs: 5, batch_size: 4, drop_last: false },
  data: { trainRows: new Int32Array(40) },
} as unknown as TrainingJob;

const finding = (detector: string, step: number): Finding => ({
  detector,
  cause: "learning_rate_too_high",
  step,
  message: "The loss rose.",
  remedy: "Lower lr.",
  data: {},
});

test("a run that continues from a checkpoint reports the metrics of that checkpoint", () => {
  const metrics = { valid_loss: 0.25, valid_accuracy: 0.5 };
  const known = { step: 20, epoch: 2, train_loss: null, valid_loss: 0.25, metrics, eta_seconds: null };
  expect(new RunProgress(job, { step: 20, metrics }, []).at(null)).toMatchObject(known);
  const nothing = { step: 0, epoch: 0, valid_loss: null, metrics: {} };
  expect(new RunProgress(job, null, []).at(null)).toMatchObject(nothing);
});

test("rows of a dropped last batch do not count for the speed", () => {
  const epochs = 1e9;
  const [rows, steps] = [43, 10];
  const training = { epochs, batch_size: 4, drop_last: true };
  const dropping = { training, data: { trainRows: new Int32Array(rows) } } as unknown as TrainingJob;
  const { samples_per_second: samples, eta_seconds: eta } = new RunProgress(dropping, null, []).at(1);
  expect((samples! * eta!) / (epochs * steps)).toBeCloseTo(4, 1);
});

test("each detector counts once between rewinds, and the findings that led to rewinds come first", () => {
  const rewound = finding("diverging", 10);
  const progress = new RunProgress(job, null, [rewound]);
  const [first, again, other] = [finding("diverging", 30), finding("diverging", 31), finding("plateau", 40)];
  for (const each of [first, again, other]) progress.diagnosed(each);
  expect(progress.at(null).findings).toEqual([rewound, first, other]);
});
