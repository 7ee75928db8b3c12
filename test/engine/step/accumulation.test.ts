import { afterEach, describe, expect, test, vi } from "vitest";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import type { TrainingData } from "../../../src/engine/training.ts";
import { RunProgress } from "../../../src/runner/progress.ts";
import { classes, member, smallJob, train, type JobChanges, type Trained } from "../../support/training.ts";
import { featuresOf } from "../../support/training.ts";

const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
/** Nothing random, since one large batch and its parts draw different masks. */
const layers = [linear(33), member("layers", "tanh"), linear(17), member("layers", "gelu"), linear(null)];

/** All weights of a final state, one after the other. */
function weightsOf({ state }: Trained): number[] {
  const { tensors } = readSafetensors(state!.bytes);
  const names = [...tensors.keys()].filter((name) => !name.startsWith("optimizer.")).toSorted();
  return names.flatMap((name) => {
    const { bytes } = tensors.get(name)!;
    return [...new Float32Array(bytes.slice().buffer)];
  });
}

function values(rows: number, width: number): TrainingData {
  const data = classes(rows, width);
  const targets = new Float32Array(new SharedArrayBuffer(rows * 4));
  for (let i = 0; i < rows; i++) targets[i] = featuresOf(data)[i * width] ** 2 - featuresOf(data)[i * width + 1];
  return { ...data, targets, target: { classes: null, mean: 0, std: 1 } };
}

describe("a step of several batches", () => {
  const weighted = member("losses", "cross_entropy", { weight: { "0": 5, "2": 0.25 } });
  // Under batches of two rows some have no row that counts.
  const ignoring = member("losses", "cross_entropy", { weight: { "0": 3 }, ignore_class: "1" });
  const cases: [string, JobChanges][] = [
    ["cross entropy with class weights", { loss: weighted }],
    ["cross entropy that ignores a class", { loss: ignoring }],
    ["mean squared errors", { loss: member("losses", "mse"), data: values(210, 11) }],
    ["limits of element and norm", { training: { clip_grad_value: 0.02, clip_grad_norm: 0.1 } }],
  ];

  // Of the 168 rows that train, batches of 10 leave a last one of 8, and the last step of 30 rows
  // has 18.
  test.each(cases.flatMap(([name, changes]) => [2, 10].map((batch) => [name, batch, changes] as const)))(
    "is one of a batch as large as all of them: %s, batches of %i",
    async (_name, batch_size, changes) => {
      const optimizer = member("optimizers", "sgd", { lr: 0.1, momentum: 0.9 });
      const job = (training: object) =>
        smallJob({
          layers,
          optimizer,
          ...changes,
          training: { epochs: 4, log_every_steps: 1, ...changes.training, ...training },
        });
      const large = await train(job({ batch_size: 30 }));
      const parts = await train(job({ batch_size, gradient_accumulation_steps: 30 / batch_size }));
      expect(parts.outcome).toMatchObject({ step: 4 * 6, epochs: 4 });
      expect(parts.losses.map(([step]) => step)).toEqual(large.losses.map(([step]) => step));
      parts.losses.forEach(([, loss], i) => expect(loss).toBeCloseTo(large.losses[i][1], 5));
      const expected = weightsOf(large);
      const furthest = Math.max(...weightsOf(parts).map((weight, i) => Math.abs(weight - expected[i])));
      expect(furthest).toBeLessThan(2e-6);
      expect(furthest).toBeGreaterThan(0);
    },
  );

  test("takes the batches that an epoch has left, and none of the next", async () => {
    const steps = async (training: object) =>
      (await train(smallJob({ training: { epochs: 2, ...training } }))).outcome.step;
    // 168 rows: 21 batches of 8; 16 batches of 10 and one of 8.
    expect(await steps({ batch_size: 8, gradient_accumulation_steps: 4 })).toBe(2 * 6);
    expect(await steps({ batch_size: 10, gradient_accumulation_steps: 4 })).toBe(2 * 5);
    expect(await steps({ batch_size: 10, gradient_accumulation_steps: 4, drop_last: true })).toBe(2 * 4);
    expect(await steps({ batch_size: 10, gradient_accumulation_steps: 10_000 })).toBe(2);
  });

  test("draws a new dropout mask for each batch", async () => {
    const data = values(2, 200);
    featuresOf(data).fill(1);
    data.targets.fill(1);
    const trainRows = new Int32Array(new SharedArrayBuffer(8));
    trainRows[1] = 1;
    const job = smallJob({
      layers: [member("layers", "dropout", { p: 0.5 }), linear(null)],
      loss: member("losses", "mse"),
      optimizer: member("optimizers", "sgd", { lr: 0.1 }),
      schedule: { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 },
      data: { ...data, trainRows, validRows: trainRows.subarray(0, 0) },
      training: { epochs: 1, batch_size: 1, gradient_accumulation_steps: 2 },
    });
    const before = await train({ ...job, optimizer: member("optimizers", "sgd", { lr: 0 }) });
    const after = weightsOf(await train(job));
    const moved = weightsOf(before).filter((weight, i) => weight !== after[i]).length;
    // One mask for both would move half of the 200.
    expect(moved).toBeGreaterThan(130);
    expect(moved).toBeLessThan(175);
  });

  describe.each(["adam", "lamb", "muon"])("gives the same bytes under %s", (type) => {
    const job = (clip_grad_norm: number | null) =>
      smallJob({
        optimizer: member("optimizers", type),
        training: { batch_size: 9, gradient_accumulation_steps: 4, clip_grad_norm },
        observe: { every_steps: 3, per_layer: false },
      });

    test.each([null, 0.3])("from any number of threads and from every checkpoint, norm limited to %s", async (clip) => {
      const alone = await train(job(clip), { everySteps: 13 });
      expect(alone.checkpoints.size).toBeGreaterThan(1);
      for (const threads of [2, 3, 5])
        expect((await train(job(clip), { threads })).state?.sha256).toBe(alone.state?.sha256);
      for (const [step, state] of alone.checkpoints) {
        const resumed = await train(job(clip), { threads: 2, state });
        expect(resumed.state?.sha256).toBe(alone.state?.sha256);
        expect(resumed.losses).toEqual(alone.losses.filter(([logged]) => logged > step));
      }
    });
  });

  test("takes memory for one more gradient, and only if there are several batches", async () => {
    const bytes = async (training: object) =>
      (await train(smallJob({ training: { epochs: 1, ...training } }))).crew.plan;
    const [single, several] = [await bytes({}), await bytes({ gradient_accumulation_steps: 2 })];
    expect((await bytes({ gradient_accumulation_steps: 1 })).memoryBytes).toBe(single.memoryBytes);
    expect(several.memoryBytes - single.memoryBytes).toBe(single.addresses.weightBytes);
    expect(several.stateBytes).toBe(single.stateBytes);
  });
});

describe("the speed in samples", () => {
  afterEach(() => vi.useRealTimers());

  test.each([
    [{ batch_size: 8, gradient_accumulation_steps: 4 }, 168 / 6],
    [{ batch_size: 10, gradient_accumulation_steps: 4, drop_last: true }, 160 / 4],
    [{ batch_size: 10 }, 168 / 17],
  ])("counts the rows of every batch of a step: %j", (training, rowsPerStep) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const progress = new RunProgress(smallJob({ training }), null, []);
    vi.advanceTimersByTime(1000);
    expect(progress.at(20).samples_per_second).toBeCloseTo(20 * rowsPerStep, 0);
  });
});
