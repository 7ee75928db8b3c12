import { describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors, type Tensor } from "../../../src/engine/state/safetensors.ts";
import { classes, featuresOf, member, smallJob, train, type TrainOptions } from "../../support/training.ts";
import { group } from "../../support/updating.ts";

/** Groups whose layers leave their running statistics as they are. */

const [ROWS, WIDTH, OUTPUTS] = [60, 4, 3];
const EPS = 1e-5;
const [RATE, STEPS] = [0.5, 4];
const data = classes(ROWS, WIDTH);

/** What the model begins with; as PyTorch names it. */
const initial = {
  "0.weight": [0.5, 1.5, -1, 2],
  "0.bias": [0.1, -0.2, 0.3, 0],
  "0.running_mean": [0.25, -0.5, 0.1, 0],
  "0.running_var": [0.5, 2, 1, 0.25],
  "1.weight": Array.from({ length: OUTPUTS * WIDTH }, (_, i) => ((i * 5) % 7) / 7 - 0.5),
  "1.bias": [0, 0.1, -0.1],
};
type Name = keyof typeof initial;

const names = Object.keys(initial) as Name[];
const shapeOf = (name: Name) => (name === "1.weight" ? [OUTPUTS, WIDTH] : [initial[name].length]);
const weights = writeSafetensors(
  [
    ...names.map((name): Tensor => {
      return { name, shape: shapeOf(name), bytes: new Uint8Array(new Float32Array(initial[name]).buffer) };
    }),
    { name: "0.num_batches_tracked", shape: [], dtype: "I64", bytes: new Uint8Array(new BigInt64Array([7n]).buffer) },
  ],
  { format: "pt" },
);

async function trained(groups: readonly object[], options: TrainOptions = {}) {
  const job = smallJob({
    layers: [member("layers", "batch_norm1d"), member("layers", "linear", { out_features: OUTPUTS })],
    data,
    groups: groups.map(group),
    optimizer: member("optimizers", "sgd", { lr: RATE }),
    schedule: { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 },
    training: { epochs: STEPS, batch_size: "full" },
  });
  const result = await train(job, { weights: options.state ? null : weights, ...options });
  const { tensors } = readSafetensors(result.state!.bytes);
  const numbers = (name: string) => [...new Float32Array(tensors.get(name)!.bytes.slice().buffer)];
  const count = new BigInt64Array(tensors.get("0.num_batches_tracked")!.bytes.slice().buffer)[0];
  return { ...result, numbers, count };
}

/**
 * The same training in double, as PyTorch does it after `eval()` of the batch_norm: running
 * statistics are constants, and gradients go through the rest.
 */
function byHand(freeze: boolean): Record<Name, number[]> {
  const p = structuredClone(initial);
  const features = featuresOf(data);
  for (let step = 0; step < STEPS; step++) {
    const gradients = Object.fromEntries(names.map((name) => [name, p[name].map(() => 0)])) as typeof initial;
    for (const row of data.trainRows) {
      const normal = p["0.weight"].map((_, i) => {
        return (features[row * WIDTH + i] - p["0.running_mean"][i]) / Math.sqrt(p["0.running_var"][i] + EPS);
      });
      const hidden = normal.map((value, i) => value * p["0.weight"][i] + p["0.bias"][i]);
      const scores = p["1.bias"].map((bias, o) =>
        hidden.reduce((sum, h, i) => sum + h * p["1.weight"][o * WIDTH + i], bias),
      );
      const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
      const slopes = scores.map((score, o) => {
        return (Math.exp(score) / total - Number(o === data.targets[row])) / data.trainRows.length;
      });
      for (const [o, slope] of slopes.entries()) {
        gradients["1.bias"][o] += slope;
        for (let i = 0; i < WIDTH; i++) {
          gradients["1.weight"][o * WIDTH + i] += slope * hidden[i];
          const back = slope * p["1.weight"][o * WIDTH + i];
          gradients["0.weight"][i] += back * normal[i];
          gradients["0.bias"][i] += back;
        }
      }
    }
    for (const name of names)
      if (!name.includes("running") && !(freeze && name.startsWith("0.")))
        for (let i = 0; i < p[name].length; i++) p[name][i] -= RATE * gradients[name][i];
  }
  return p;
}

describe("a batch_norm whose statistics are those of an evaluation", () => {
  test.each([
    ["its parameters learn", false],
    ["its parameters are frozen", true],
  ])("trains as PyTorch's does after eval(), where %s", async (_, freeze) => {
    const { numbers, count } = await trained([{ parameters: "0.*", statistics: "eval", freeze }]);
    const expected = byHand(freeze);
    for (const name of names) {
      const got = numbers(name);
      for (const [i, value] of expected[name].entries())
        expect(Math.abs(got[i] - value), `${name} ${i}`).toBeLessThan(1e-5);
    }
    const kept = freeze
      ? (["running_mean", "running_var", "weight", "bias"] as const)
      : (["running_mean", "running_var"] as const);
    for (const name of kept) expect(numbers(`0.${name}`)).toEqual([...new Float32Array(initial[`0.${name}`])]);
    expect(count).toBe(7n);
  });

  test("is another model than one whose parameters alone are frozen", async () => {
    const still = await trained([{ parameters: "0.*", statistics: "eval", freeze: true }]);
    const moving = await trained([{ parameters: "0.*", freeze: true }]);
    expect(moving.count).toBe(7n + BigInt(STEPS));
    expect(moving.numbers("0.running_mean")).not.toEqual(still.numbers("0.running_mean"));
    expect(moving.numbers("1.weight")).not.toEqual(still.numbers("1.weight"));
  });

  test("belongs to the first group that names one of its buffers, which needs no parameter", async () => {
    const named = await trained([{ parameters: "*.running_mean", statistics: "eval" }]);
    const whole = await trained([{ parameters: "0.*", statistics: "eval" }]);
    expect(named.weights).toBe(whole.weights);
    const first = await trained([
      { parameters: "0.*", lr: RATE },
      { parameters: "*.running_mean", statistics: "eval" },
    ]);
    expect(first.count).toBe(7n + BigInt(STEPS));
  });

  test("has the same bytes on any number of threads, and from a checkpoint", async () => {
    const groups = [{ parameters: "0.*", statistics: "eval" }];
    const { weights: one, checkpoints } = await trained(groups, { everySteps: 1 });
    for (const threads of [2, 5]) expect((await trained(groups, { threads })).weights).toBe(one);
    const state = checkpoints.get(2)!;
    expect((await trained(groups, { threads: 2, state })).weights).toBe(one);
  });

  test("takes a batch of a single row", async () => {
    const job = smallJob({
      layers: [member("layers", "batch_norm1d"), member("layers", "linear", { out_features: OUTPUTS })],
      data,
      groups: [group({ statistics: "eval" })],
      training: { epochs: 1, batch_size: 1 },
    });
    expect((await train(job)).outcome.type).toBe("completed");
    await expect(train({ ...job, groups: [] })).rejects.toThrow("a single row");
  });
});
