import { expect, onTestFinished, test, vi } from "vitest";
import type { TrainingJob } from "../../src/engine/job.ts";
import { meters } from "../../src/meters.ts";
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

test("the speed follows the steps smoothly, and with it the remaining time; both count in the meters", async () => {
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  onTestFinished(() => clock.mockRestore());
  const counted = async () => [
    (await meters.steps.get()).values[0].value,
    (await meters.samples.get()).values[0].value,
  ];
  const before = await counted();
  const progress = new RunProgress(job, { step: 10, metrics: {} }, []);
  const at = (seconds: number, step: number) => {
    clock.mockReturnValue(seconds * 1000);
    const { step: told, epoch, samples_per_second: samples, eta_seconds: eta } = progress.at(step);
    return [told, epoch, samples, eta];
  };
  expect(at(0, 12)).toEqual([10, 1, null, null]);
  // Four steps in two seconds, of four samples each; 36 steps are left.
  expect(at(2, 14)).toEqual([14, 1, 8, 18]);
  // No step, and a step back, change nothing.
  expect(at(4, 14)).toEqual([14, 1, 8, 18]);
  expect(at(4, 13)).toEqual([14, 1, 8, 18]);
  // Six steps in three seconds since the last step: the same speed.
  expect(at(5, 20)).toEqual([20, 2, 8, 15]);
  const weight = 1 - Math.exp(-1);
  const speed = 2 + weight * (10 - 2);
  expect(at(8, 50)).toEqual([50, 5, Math.round(speed * 40) / 10, 0]);
  expect((await counted()).map((now, i) => now - before[i])).toEqual([40, 160]);
});

test("the last logged and evaluated values are told", () => {
  const progress = new RunProgress(job, { step: 10, metrics: { valid_loss: 9 } }, []);
  progress.logged({ step: 12, train_loss: 0.5, learning_rate: 0.1, grad_norm: 3 } as never);
  expect(progress.at(null)).toMatchObject({ train_loss: 0.5, learning_rate: 0.1, valid_loss: 9 });
  progress.evaluated({ metrics: { valid_loss: 0.25, valid_r2: 1 } } as never);
  expect(progress.at(null)).toMatchObject({ valid_loss: 0.25, metrics: { valid_loss: 0.25, valid_r2: 1 } });
  progress.evaluated({ metrics: { valid_r2: 1 } } as never);
  expect(progress.at(null)).toMatchObject({ valid_loss: null, metrics: { valid_r2: 1 } });
});
