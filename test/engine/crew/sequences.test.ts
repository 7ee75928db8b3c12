import { expect, test } from "vitest";
import type { TrainingData } from "../../../src/engine/training.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { member, smallJob, train } from "../../support/training.ts";

/*
 * A crew trains layers that tables do not have: integers, several numbers to predict for a sample,
 * attention with dropout, a layer that mixes the samples of a batch, and a weight with two uses.
 */

const [ROWS, TIME, WORDS] = [90, 5, 7];

/** Sequences of words; what follows a word is its sum with the word before, mostly. */
function sequences(): TrainingData {
  const shared = (list: readonly number[]) => {
    const copy = new Int32Array(new SharedArrayBuffer(list.length * 4));
    copy.set(list);
    return copy;
  };
  let state = 3;
  const words = Array.from({ length: ROWS * (TIME + 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * WORDS);
  });
  const row = (i: number, from: number) => words.slice(i * (TIME + 1) + from, i * (TIME + 1) + from + TIME);
  const rows = Array.from({ length: ROWS }, (_, i) => i);
  return {
    inputs: [
      { name: "x", shape: [TIME], type: "int32", categories: WORDS, values: shared(rows.flatMap((i) => row(i, 0))) },
    ],
    targets: shared(rows.flatMap((i) => row(i, 1))),
    targetShape: [TIME],
    trainRows: shared(rows.filter((i) => i % 5 !== 0)),
    validRows: shared(rows.filter((i) => i % 5 === 0)),
    testRows: shared([]),
    target: { classes: Array.from({ length: WORDS }, (_, i) => String(i)), mean: 0, std: 1 },
  };
}

const job = smallJob({
  data: sequences(),
  layers: [
    member("layers", "embedding", { embedding_dim: 8, padding_idx: -1 }),
    member("layers", "position_embedding"),
    member("layers", "transformer_encoder_layer", { nhead: 2, dim_feedforward: 11, dropout: 0.2, causal: true }),
    member("layers", "batch_norm1d", { momentum: null }),
    member("layers", "transformer_encoder_layer", {
      nhead: 1,
      dim_feedforward: 6,
      activation: "swiglu",
      norm_first: true,
      rotary_base: 100,
    }),
    member("layers", "rms_norm"),
    member("layers", "linear", { tied_to: "0.weight" }),
  ],
  training: { epochs: 4, batch_size: 16, clip_grad_norm: 1, gradient_accumulation_steps: 2 },
});

test("models of sequences have the same bytes from any number of threads, and from a checkpoint", async () => {
  const whole = await train(job, { everySteps: 4 });
  expect(whole.outcome.type).toBe("completed");
  for (const threads of [2, 5]) {
    const other = await train(job, { threads });
    expect(other.state?.sha256, `${threads} threads`).toBe(whole.state?.sha256);
  }
  const [[step, state]] = whole.checkpoints;
  expect(step).toBeLessThan(12);
  const resumed = await train(job, { threads: 3, state });
  expect(resumed.state?.sha256, `from step ${step}`).toBe(whole.state?.sha256);
});

test("the vector of a padding stays as it starts, at zeros", async () => {
  const embedding = member("layers", "embedding", { embedding_dim: 3, padding_idx: -1 });
  const { state } = await train({ ...job, model: { layers: [embedding, member("layers", "linear")] } });
  const { bytes } = readSafetensors(state!.bytes).tensors.get("0.weight")!;
  const rows = Array.from(new Float32Array(bytes.slice().buffer));
  expect(rows.length).toBe(3 * WORDS);
  expect(rows.slice(-3)).toEqual([0, 0, 0]);
  expect(rows.slice(0, -3)).not.toContain(0);
});
