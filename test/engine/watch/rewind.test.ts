import { describe, expect, test } from "vitest";
import { changeAfter, rewindDefaults, scaleAt, rewindStep, type Change } from "../../../src/engine/watch/rewind.ts";
import { readSafetensors, writeSafetensors } from "../../../src/engine/state/safetensors.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { member, train, type Trained, type TrainOptions } from "../../support/training.ts";
import { layer, linear, optimizer, perceptron, schedule, values, watched, watchful } from "../detectors/jobs.ts";
import type { Rewind } from "../../../src/engine/settings.ts";

const settings: Rewind = { every_steps: 10, window: 20, lr_factor: 0.25, max: 3 };

function rewinding(rewind: Partial<Rewind> = {}) {
  return watchful({ diverging: { policy: "rewind", rewind: { ...settings, ...rewind } } });
}

/** Diverges once its rate has grown, and again. */
const growing = (rewind: Partial<Rewind> = {}): TrainingJob =>
  watched({
    optimizer: optimizer("sgd", { lr: 0.01, momentum: 0.5 }),
    schedule: schedule("exponential", { gamma: 1.03 }),
    detectors: rewinding(rewind),
    keepBest: true,
  });

/**
 * As a run does it: what is left of the checkpoints at or before a change is gone on from, or the
 * beginning.
 */
async function rewound(
  job: () => TrainingJob,
  options: TrainOptions,
  pick: (steps: number[]) => number | undefined,
): Promise<Trained & { rewinds: number }> {
  const kept = new Map<number, Uint8Array>();
  let trained = await train(job(), options);
  for (let rewinds = 0; ; rewinds++) {
    const { outcome } = trained;
    for (const [step, state] of trained.checkpoints) kept.set(step, state);
    const change = outcome.type === "diverged" ? changeAfter(job(), outcome, 0) : null;
    if (outcome.type !== "diverged" || change === null) return { ...trained, rewinds };
    for (const step of kept.keys()) if (step > change.step) kept.delete(step);
    const from = pick([...kept.keys()]);
    const state = from === undefined ? null : kept.get(from)!;
    trained = await train(job(), { ...options, state, changes: [...outcome.changes, change] });
  }
}

const newest = (steps: number[]) => steps.sort((a, b) => a - b).at(-1);

describe("a rewind goes", () => {
  test("to the last multiple that is far enough back, but not before the beginning", () => {
    expect([100, 101, 109, 110, 29, 30, 5].map((step) => rewindStep(settings, step))).toEqual([
      80, 80, 80, 90, 0, 10, 0,
    ]);
    expect([130, 122, 119].map((step) => rewindStep(settings, step, 105))).toEqual([110, 105, 105]);
  });

  test("by default to multiples of a hundredth of the run, twice as far back as a divergence takes to be seen", () => {
    expect(rewindDefaults(1000, 15)).toEqual({ every_steps: 10, window: 30 });
    expect(rewindDefaults(1001, 15)).toEqual({ every_steps: 11, window: 30 });
  });

  test("and each change multiplies the rate from its step on", () => {
    const change = (step: number, lr_factor: number): Change => ({ step, detected_step: step + 30, lr_factor });
    const scales = (changes: Change[]) => [0, 19, 20, 49, 50, 90].map((step) => scaleAt(step, changes));
    expect(scales([])).toEqual([1, 1, 1, 1, 1, 1]);
    expect(scales([change(20, 0.5), change(50, 0.5)])).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25]);
    expect(scales([change(50, 0.5), change(20, 0.1)])).toEqual([1, 1, 0.05, 0.05, 0.05, 0.05]);
    expect(scales([change(20, 0.5), change(20, 0.5)])).toEqual([1, 1, 0.25, 0.25, 0.25, 0.25]);
  });

  test("nowhere after the last rewind, or under other policies", () => {
    const changes = [1, 2].map((step) => ({ step, detected_step: 9, lr_factor: 0.5 }));
    const outcome = { step: 64, changes };
    expect(changeAfter(growing(), outcome, 0)).toEqual({ step: 40, detected_step: 64, lr_factor: 0.25 });
    expect(changeAfter(growing({ max: 2 }), outcome, 0)).toBeNull();
    expect(changeAfter({ detectors: watchful({ diverging: { policy: "stop" } }) }, outcome, 0)).toBeNull();
  });
});

describe("a job that diverges", () => {
  test("succeeds after its rewinds, at the rates that they set", async () => {
    const rates: number[] = [];
    const plain = await train(watched({ schedule: growing().schedule, optimizer: growing().optimizer }), { rates });
    const changed: number[] = [];
    const { outcome, rewinds, losses } = await rewound(growing, { everySteps: 10, rates: changed }, newest);
    expect(outcome).toMatchObject({ type: "completed", step: 300 });
    if (outcome.type !== "completed") return;
    expect(rewinds).toBeGreaterThan(1);
    expect(outcome.changes).toHaveLength(rewinds);
    expect(outcome.changes[0].step).toBeGreaterThan(0);
    // Logged every tenth step; the last course is the end of the list.
    const last = changed.slice(-losses.length);
    losses.forEach(([step], i) => {
      expect(last[i]).toBe(rates[step / 10 - 1] * scaleAt(step - 1, outcome.changes));
    });
    expect(plain.losses.at(-1)![1]).not.toBe(losses.at(-1)![1]);
  });

  test("gives the same bytes from any checkpoint and with any number of threads", async () => {
    const first = await rewound(growing, { everySteps: 10 }, newest);
    expect(first.state).not.toBeNull();
    const picks: [number, number | null, (steps: number[]) => number | undefined][] = [
      [1, null, () => undefined],
      [2, 7, newest],
      [3, 13, ([oldest]) => oldest],
      [2, 10, (steps) => steps[Math.floor(Math.random() * (steps.length + 1))]],
    ];
    for (const [threads, everySteps, pick] of picks) {
      const other = await rewound(growing, { threads, everySteps }, pick);
      expect(other.outcome).toEqual(first.outcome);
      expect(other.state?.sha256).toBe(first.state!.sha256);
    }
  });

  test("gives the same bytes with every other part of the state", async () => {
    const job = () =>
      watched({
        layers: [...perceptron("relu", 24, 16).slice(0, -1), layer("dropout"), linear(null)],
        data: values(400),
        loss: member("losses", "mse"),
        optimizer: optimizer("adamax", { lr: 0.01 }),
        schedule: schedule("exponential", { gamma: 1.04 }),
        groups: [{ parameters: "*.bias", lr: null, lr_scale: 0.5, weight_decay: 0.01, freeze: false }],
        detectors: rewinding({ lr_factor: 0.1, max: 9 }),
        keepBest: true,
        training: {
          clip_grad_norm: 5,
          gradient_accumulation_steps: 2,
          gradient_noise: { eta: 0.001, gamma: 0.55 },
          averaging: { type: "ema", decay: 0.9, start_step: 3, every_steps: 2 },
          epochs: 40,
        },
      });
    const first = await rewound(job, { everySteps: 10 }, newest);
    expect(first.rewinds).toBeGreaterThan(0);
    for (const everySteps of [null, 11]) {
      const other = await rewound(job, { threads: 3, everySteps }, ([oldest]) => oldest);
      expect(other.outcome).toEqual(first.outcome);
      expect(other.state?.sha256).toBe(first.state?.sha256);
    }
  });

  test("forgets the best weights of the steps that were taken back", async () => {
    const { outcome } = await rewound(growing, { everySteps: 10 }, newest);
    const again = await train(growing(), { changes: outcome.type === "completed" ? outcome.changes : [] });
    expect(again.outcome).toEqual(outcome);
  });

  test("fails after the last rewind, with the rewinds that were made", async () => {
    const { outcome, rewinds } = await rewound(() => growing({ lr_factor: 0.9, max: 2 }), { everySteps: 10 }, newest);
    expect(rewinds).toBe(2);
    expect(outcome).toMatchObject({ type: "diverged", changes: [{ lr_factor: 0.9 }, { lr_factor: 0.9 }] });
  });

  test("is also rewound when its loss is not finite", async () => {
    const job = () => watched({ optimizer: optimizer("sgd", { lr: 1e6, momentum: 0.9 }), detectors: rewinding() });
    const { outcome } = await train(job());
    expect(outcome).toMatchObject({ type: "diverged", finding: { detector: "diverging" } });
    expect(outcome.type === "diverged" && changeAfter(job(), outcome, 0)).toMatchObject({ step: 0 });
  });
});

test("a weight that is not finite but does not change a loss is found at the same step, whenever checkpoints are taken", async () => {
  const job = (detectors: TrainingJob["detectors"]) =>
    watched({ layers: perceptron("relu", 8), optimizer: optimizer("sparse_adam"), observe: null, detectors });
  const { checkpoints } = await train(job(rewinding()), { everySteps: 12 });
  const { tensors, metadata } = readSafetensors(checkpoints.get(12)!);
  // A unit that is never woken, under an optimizer that leaves alone what has no gradient.
  const bias = tensors.get("0.bias")!;
  const bytes = bias.bytes.slice();
  new Float32Array(bytes.buffer)[3] = -Infinity;
  const changed = [...tensors.values()].map((tensor) => (tensor === bias ? { ...bias, bytes } : tensor));
  const state = writeSafetensors(changed, metadata);

  for (const everySteps of [null, 1, 3, 20]) {
    const { outcome, checkpoints } = await train(job(rewinding()), { state, everySteps, threads: 2 });
    expect(outcome).toMatchObject({ type: "diverged", step: 20, finding: { step: 20 } });
    expect(checkpoints.size).toBe(0);
  }
  const seldom = await train(job(rewinding({ every_steps: 1000 })), { state, everySteps: 3 });
  expect(seldom.outcome).toMatchObject({ type: "diverged", step: 300 });
  // Under other policies it is found when it is come across.
  expect((await train(job(watchful()), { state, everySteps: 3 })).outcome).toMatchObject({
    type: "diverged",
    step: 15,
  });
});
