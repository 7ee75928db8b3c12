import { describe, expect, test } from "vitest";
import { Barrier } from "../../../src/engine/step/barrier.ts";
import { Gradient, type Treatment } from "../../../src/engine/step/gradient.ts";
import { instantiateKernels, compileKernels, createMemory } from "../../../src/engine/kernels/kernels.ts";
import { planModel } from "../../../src/engine/plan/model.ts";
import type { Member } from "../../../src/engine/settings.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { gradientTiles } from "../../../src/engine/plan/slices.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";
import { inputOf } from "../../support/training.ts";
import { featuresOf } from "../../support/training.ts";

const UNTREATED: Treatment = { seed: 3, clip_grad_norm: null, clip_grad_value: null };
const linear = (outputs: number | null, bias = true) => member("layers", "linear", { out_features: outputs, bias });

/** Gradients of given weights after `treatment`, as thread after thread of a crew treats them. */
function treated(
  layers: Member[],
  inputs: number,
  values: readonly { weight: readonly number[]; gradient: readonly number[] }[],
  treatment: Treatment,
  threads = 1,
): number[][] {
  const plan = planModel({
    model: { layers },
    loss: member("losses", "mse"),
    optimizer: member("optimizers", "sgd"),
    inputs: [inputOf(inputs)],
    target: { classes: null, shape: [] },
    batchRows: 1,
    smallestBatch: 1,
    trainRows: 1,
    evaluatedRows: 0,
    threads,
    keepBest: false,
    training: treatment,
  });
  const kernels = instantiateKernels(compileKernels(), createMemory(plan.memoryBytes));
  const { control } = plan.addresses;
  const barrier = new Barrier(kernels, new Int32Array(kernels.memory.buffer, control), control, 1);
  plan.parameters.forEach(({ weight, gradient }, i) => {
    kernels.f32.set(values[i].weight, weight >> 2);
    kernels.f32.set(values[i].gradient, gradient >> 2);
  });
  for (let thread = 0; thread < threads; thread++) {
    const gradient = new Gradient(kernels, plan, treatment, barrier, thread);
    for (const tile of gradientTiles(plan, thread)) gradient.tileReady(tile);
    if (threads > 1) continue;
    gradient.measure();
    plan.parameters.forEach(({ length }, i) => gradient.finish(i, 0, length));
  }
  return plan.parameters.map(({ gradient, length }) => [
    ...kernels.f32.subarray(gradient >> 2, (gradient >> 2) + length),
  ]);
}

const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

/** optax.adaptive_grad_clip for one unit, in double. */
function clipUnit(weight: readonly number[], gradient: readonly number[], clipping: number, eps: number): number[] {
  const limit = clipping * Math.max(norm(weight), eps);
  const size = norm(gradient);
  return size < limit ? [...gradient] : gradient.map((value) => (value * limit) / Math.max(size, 1e-6));
}

test.each([
  [1, 19],
  [2, 13],
  [3, Math.cbrt(27 + 64 + 1728)],
  ["inf", 12],
] as const)("the norm of type %s is over all elements of all parameters", (norm_type, size) => {
  const values = [
    { weight: [1, 1], gradient: [3, -4] },
    { weight: [1], gradient: [12] },
  ];
  const clip = (max_norm: number) =>
    treated([linear(null)], 2, values, { ...UNTREATED, clip_grad_norm: { max_norm, norm_type } }).flat();
  clip(1).forEach((value, i) => expect(value).toBeCloseTo([3, -4, 12][i] / size, 5));
  expect(clip(size * 1.001)).toEqual([3, -4, 12]);
});

describe("adaptive clipping", () => {
  const clip = { clipping: 0.1, eps: 0.01 };
  const treatment = { ...UNTREATED, clip_grad_adaptive: clip };
  const close = (actual: readonly number[], expected: readonly number[]) => {
    expect(actual.length).toBe(expected.length);
    const wrong = actual.filter((value, i) => !(Math.abs(value - expected[i]) <= 2e-7 * Math.abs(expected[i])));
    expect(wrong).toEqual([]);
  };

  test("takes the rows of a matrix one by one, and a vector as a whole", () => {
    const rows = [
      { weight: [3, 4, 0], gradient: [0.2, 0.1, 0.4] }, // within 0.5
      { weight: [3, 4, 0], gradient: [0, 3, 4] }, // ten times too long
      { weight: [0, 0, 0], gradient: [1, 1, 1] }, // weights of 0 count as eps
      { weight: [0, 0.005, 0], gradient: [1e-4, 2e-4, 0] }, // below eps, and short enough
      { weight: [1, 1, 1], gradient: [0, 0, 0] },
      { weight: [1e-3, 2, 5], gradient: [1e30, -1e30, 1e20] },
    ];
    const bias = { weight: [0, 0, 0, 0, 0, 0.02], gradient: [0.001, 0.002, 0, 0, 0, 0.003] };
    const last = { weight: [1, 1, 1, 1, 1, 1], gradient: [9, 8, 7, 6, 5, 4] };
    const [weight, vector, ...others] = treated(
      [linear(6), linear(null)],
      3,
      [
        { weight: rows.flatMap((row) => row.weight), gradient: rows.flatMap((row) => row.gradient) },
        bias,
        last,
        { weight: [0], gradient: [7] },
      ],
      treatment,
    );
    rows.forEach((row, i) => close(weight.slice(i * 3, i * 3 + 3), clipUnit(row.weight, row.gradient, 0.1, 0.01)));
    expect(weight.slice(0, 3)).toEqual([0.2, 0.1, 0.4].map(Math.fround));
    expect(norm(weight.slice(3, 6))).toBeCloseTo(0.5, 6);
    expect(norm(weight.slice(6, 9))).toBeCloseTo(0.001, 8);
    close(vector, clipUnit(bias.weight, bias.gradient, 0.1, 0.01));
    expect(norm(vector)).toBeCloseTo(0.002, 8);
    close(others[0], clipUnit(last.weight, last.gradient, 0.1, 0.01));
    close(others[1], [0.001]);
  });

  test("takes a matrix of one column as a vector", () => {
    const values = { weight: [3, 0, 0, 4], gradient: [3, 4, 0, 0] };
    const [column] = treated(
      [linear(4, false), linear(null, false)],
      1,
      [values, { weight: [1, 1, 1, 1], gradient: [0, 0, 0, 0] }],
      treatment,
    );
    close(column, clipUnit(values.weight, values.gradient, 0.1, 0.01));
  });

  test("comes after the clipping of elements", () => {
    const values = { weight: [3, 4], gradient: [100, 0.75] };
    const [row] = treated([linear(null, false)], 2, [values], { ...treatment, clip_grad_value: 1 });
    close(row, clipUnit(values.weight, [1, 0.75], 0.1, 0.01));
  });

  test.each([1, 2, 3, 7])("gives the same with %i threads for long rows and long vectors", (threads) => {
    const draw = (length: number, scale: number) => Array.from({ length }, (_, i) => scale * Math.sin(i * i + 1));
    const values = [3 * 50_000, 50_000, 50_000, 1].map((length) => ({
      weight: draw(length, 0.01),
      gradient: draw(length, 1),
    }));
    const layers = [linear(50_000), linear(null)];
    const units = values.map(({ weight, gradient }, i) => {
      const length = i === 0 ? 3 : weight.length;
      return weight.flatMap((_, at) =>
        at % length === 0 ? clipUnit(weight.slice(at, at + length), gradient.slice(at, at + length), 0.1, 0.01) : [],
      );
    });
    const actual = treated(layers, 3, values, treatment, threads);
    actual.forEach((list, i) => close(list, units[i]));
    expect(actual).toEqual(treated(layers, 3, values, treatment));
  });

  test("passes NaN on to the gradient", () => {
    const run = (weight: number[], gradient: number[]) =>
      treated([linear(null, false)], 2, [{ weight, gradient }], treatment)[0];
    expect(run([1, 1], [NaN, 1])).toEqual([NaN, NaN]);
    expect(run([NaN, 1], [1, 1])).toEqual([NaN, NaN]);
    expect(run([1, 1], [Infinity, 1])).toEqual([NaN, 0]);
  });
});

describe("noise", () => {
  const ROWS = 4;
  const WIDTH = 150;
  /** Its true gradient is 0 at any weights, and a step's update is the noise. */
  const idle = (epochs: number, noise: object, changes: object = {}) => {
    const data = classes(ROWS, WIDTH);
    featuresOf(data).fill(0);
    const targets = new Float32Array(new SharedArrayBuffer(ROWS * 4));
    return smallJob({
      layers: [linear(100, false), linear(null, false)],
      loss: member("losses", "mse"),
      optimizer: member("optimizers", "sgd", { lr: 1 }),
      schedule: { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 },
      data: { ...data, targets, target: { classes: null, mean: 0, std: 1 } },
      training: { epochs, batch_size: "full", gradient_noise: noise as never, ...changes },
    });
  };
  const weights = async (epochs: number, noise: object, changes = {}) => {
    const { tensors } = readSafetensors((await train(idle(epochs, noise, changes))).state!.bytes);
    return ["0.weight", "1.weight"].map((name) => [...new Float32Array(tensors.get(name)!.bytes.slice().buffer)]);
  };
  /** What step number `step`, from 0, added. */
  const drawn = async (step: number, noise: object, changes = {}) => {
    const before = await weights(step === 0 ? 1 : step, step === 0 ? { eta: 1e-30, gamma: 0 } : noise, changes);
    const after = await weights(step + 1, noise, changes);
    return after.map((list, i) => list.map((weight, at) => before[i][at] - weight));
  };
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  test.each([0, 1, 30])(
    "at step %i has mean 0, variance eta / (1 + step)^gamma, and a normal's tails",
    async (step) => {
      const noise = { eta: 0.3, gamma: 0.55 };
      const [values] = await drawn(step, noise);
      const n = values.length;
      const variance = noise.eta / (1 + step) ** noise.gamma;
      // Each within four deviations of what so many normal numbers show.
      expect(Math.abs(mean(values))).toBeLessThan(4 * Math.sqrt(variance / n));
      expect(Math.abs(mean(values.map((value) => value ** 2)) / variance - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
      expect(Math.abs(mean(values.map((value) => value ** 4)) / variance ** 2 - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
      const neighbours = mean(values.slice(1).map((value, i) => value * values[i])) / variance;
      expect(Math.abs(neighbours)).toBeLessThan(4 / Math.sqrt(n));
    },
  );

  test("of steps, parameters and seeds is independent", async () => {
    const noise = { eta: 1, gamma: 0 };
    const [first, second] = [await drawn(0, noise), await drawn(1, noise)];
    const [other] = await drawn(0, noise, { seed: 12 });
    const correlation = (a: readonly number[], b: readonly number[]) =>
      Math.abs(mean(b.map((value, i) => value * a[i])));
    expect(correlation(first[0], second[0])).toBeLessThan(4 / Math.sqrt(15_000));
    expect(correlation(first[0], other)).toBeLessThan(4 / Math.sqrt(15_000));
    expect(correlation(first[0], first[1])).toBeLessThan(4 / Math.sqrt(100));
  });

  test("is not clipped", async () => {
    const changes = {
      clip_grad_norm: 1e-3,
      clip_grad_value: 1e-3,
      clip_grad_adaptive: { clipping: 0.001, eps: 0.001 },
    };
    const [values] = await drawn(0, { eta: 1, gamma: 0 }, changes);
    expect(mean(values.map((value) => value ** 2))).toBeCloseTo(1, 1);
  });
});

describe("clipped and noisy gradients give the same bytes", () => {
  const treatments: [string, object][] = [
    ["noise", { gradient_noise: { eta: 0.01, gamma: 0.55 } }],
    ["adaptive clipping", { clip_grad_adaptive: { clipping: 0.05, eps: 1e-3 } }],
    [
      "everything",
      {
        gradient_accumulation_steps: 2,
        clip_grad_value: 0.05,
        clip_grad_adaptive: { clipping: 0.05, eps: 1e-3 },
        clip_grad_norm: 0.1,
        gradient_noise: { eta: 0.01, gamma: 0.55 },
      },
    ],
  ];
  const cases = treatments.flatMap(([name, training]) =>
    ["adam", "lamb", "muon", "lookahead"].map((optimizer) => ({ name, optimizer, training })),
  );

  test.each(cases)("under $name and $optimizer", async ({ optimizer, training }) => {
    const changes = {
      optimizer: member("optimizers", optimizer),
      layers: [linear(67), member("layers", "relu"), linear(90), linear(null)],
    };
    const job = (more = {}) => smallJob({ ...changes, training: { batch_size: 9, ...training }, ...more });
    const alone = await train(job(), { everySteps: 50 });
    const plain = await train(smallJob({ ...changes, training: { batch_size: 9 } }));
    expect(alone.weights).not.toBe(plain.weights);
    for (const threads of [2, 3, 5]) expect((await train(job(), { threads })).state?.sha256).toBe(alone.state?.sha256);
    for (const state of alone.checkpoints.values())
      expect((await train(job(), { threads: 2, state })).state?.sha256).toBe(alone.state?.sha256);
    expect((await train(job({ observe: { every_steps: 2, per_layer: false } }))).weights).toBe(alone.weights);
  });
});
