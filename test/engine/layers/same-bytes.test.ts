/**
 * Every layer of the registry in a model that also drops, mixes samples and adds a shortcut: the
 * bytes of its state do not depend on threads, nor on being resumed at any checkpoint. The model
 * made of it predicts what the crew evaluated.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { ForwardCrew } from "../../../src/engine/crew/forward.ts";
import { kernelModule } from "../../../src/engine/kernels/kernels.ts";
import type { LayerExample } from "../../../src/engine/layers/layer.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { size } from "../../../src/engine/member/shape.ts";
import { modelFile } from "../../../src/engine/state/model-files.ts";
import { stateHead } from "../../../src/engine/state/state.ts";
import type { TrainingData } from "../../../src/engine/training.ts";
import { classes, member, smallJob, train, type Trained } from "../../support/training.ts";

const THREADS = [2, 3, 5, 8];
const ROWS = 45;

const named = Object.values(layers).filter(({ internal }) => !internal);

/** Random inputs as the example has them, and the classes that go with them. */
function dataOf({ input, tokens }: LayerExample): TrainingData {
  const width = size(input);
  const data = classes(ROWS, Math.max(3, width));
  const numbers = data.inputs[0].values.subarray(0, ROWS * width);
  const values =
    tokens === undefined
      ? numbers
      : Int32Array.from(numbers, (value) => Math.floor(((value + 1) / 2) * tokens) % tokens);
  const shared = new SharedArrayBuffer(values.byteLength);
  const copy = tokens === undefined ? new Float32Array(shared) : new Int32Array(shared);
  copy.set(values);
  const type = tokens === undefined ? "float32" : "int32";
  return { ...data, inputs: [{ name: "x", shape: input, type, categories: tokens ?? null, values: copy }] };
}

function jobOf(type: string, example: LayerExample) {
  const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
  return smallJob({
    data: dataOf(example),
    layers: [
      // So that the layer has a gradient to pass on.
      ...(example.tokens === undefined ? [{ ...linear(example.input.at(-1)!), name: "x" }] : []),
      member("layers", type, { ...example.options }),
      member("layers", "flatten"),
      linear(7),
      member("layers", "batch_norm1d"),
      { type: "residual", layers: [member("layers", "dropout", { p: 0.1 }), member("layers", "gelu")] },
      linear(null),
    ],
    training: { epochs: 2, batch_size: 16, clip_grad_norm: 1 },
    keepBest: true,
  });
}

describe.each(named)("$type", ({ type, example = { input: [12] } }) => {
  const job = jobOf(type, example);
  let whole: Trained;
  beforeAll(async () => {
    whole = await train(job, { everySteps: 2 });
  });

  test.each(THREADS)("gives the same bytes with %i threads", async (threads) => {
    const { state, outcome } = await train(job, { threads });
    expect(outcome.type).toBe("completed");
    expect(state!.sha256).toBe(whole.state!.sha256);
  });

  test("gives the same bytes when it is resumed at any checkpoint", async () => {
    const { checkpoints, state } = whole;
    expect(checkpoints.size).toBeGreaterThan(1);
    for (const file of checkpoints.values())
      expect((await train(job, { threads: 2, state: file })).state!.sha256).toBe(state!.sha256);
  });

  test("predicts what was evaluated, and the same for a row alone as among others", () => {
    const model = modelFile(whole.state!.bytes, "final").bytes;
    const crew = new ForwardCrew(kernelModule(), { model: job.model, inputs: job.data.inputs, outputs: 3 }, model);
    const together = crew.run(job.data.inputs, 0, ROWS).slice();
    for (let row = 0; row < ROWS; row++)
      expect(crew.run(job.data.inputs, row, 1)).toEqual(together.subarray(row * 3, row * 3 + 3));
    const right = job.data.validRows.filter((row) => {
      const outputs = [...together.subarray(row * 3, row * 3 + 3)];
      return outputs.indexOf(Math.max(...outputs)) === job.data.targets[row];
    });
    const { progress } = stateHead(whole.state!.bytes);
    expect(right.length / job.data.validRows.length).toBe(progress.metrics.valid_accuracy);
  });
});
