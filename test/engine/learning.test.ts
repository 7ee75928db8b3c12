/** Small networks learn what only their kind can: the order of events, and longer dependences. */
import { expect, test } from "vitest";
import type { TrainingData } from "../../src/engine/training.ts";
import { randomWords } from "../../src/engine/kernels/random.ts";
import type { Member } from "../../src/engine/settings.ts";
import type { Shape } from "../../src/engine/member/shape.ts";
import { member, smallJob, train } from "../support/training.ts";

const layer = (type: string, options: object = {}) => member("layers", type, { ...options });

/** Numbers from 0 to `below` that depend on nothing but their place. */
function draws(count: number, below: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => randomWords(seed, 99, 0, 0, i)[0] % below);
}

function shared<A extends Float32Array | Int32Array>(array: A): A {
  const buffer = new SharedArrayBuffer(array.byteLength);
  const copy = array instanceof Float32Array ? new Float32Array(buffer) : new Int32Array(buffer);
  copy.set(array);
  return copy as A;
}

/** Every fifth row validates. */
function dataOf(
  shape: Shape,
  values: Float32Array | Int32Array,
  targets: number[],
  targetShape: Shape,
  classes: number,
): TrainingData {
  const rows = Array.from({ length: targets.length / (targetShape[0] ?? 1) }, (_, i) => i);
  const isTokens = values instanceof Int32Array;
  return {
    inputs: [
      {
        name: "x",
        shape,
        type: isTokens ? "int32" : "float32",
        categories: isTokens ? classes : null,
        values: shared(values),
      },
    ],
    targets: shared(Int32Array.from(targets)),
    targetShape,
    trainRows: shared(Int32Array.from(rows.filter((row) => row % 5 !== 0))),
    validRows: shared(Int32Array.from(rows.filter((row) => row % 5 === 0))),
    testRows: shared(new Int32Array(0)),
    target: { classes: Array.from({ length: classes }, (_, i) => String(i)), mean: 0, std: 1 },
  };
}

async function validated(layers: readonly Member[], data: TrainingData, epochs: number, optimizer: Member) {
  const schedule = { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 } as Member;
  const job = smallJob({ layers, data, optimizer, schedule, training: { epochs, eval_every_epochs: epochs } });
  const { outcome } = await train(job, { threads: 2 });
  if (outcome.type !== "completed") throw new Error(`ended as ${outcome.type}`);
  return outcome.metrics;
}

test("an lstm under rmsprop learns which of two events came first", async () => {
  const [rows, length] = [500, 12];
  const x = new Float32Array(rows * length * 2);
  const targets = Array.from({ length: rows }, (_, row) => {
    const [first, gap] = [draws(1, length, row)[0], 1 + draws(1, length - 1, 1000 + row)[0]];
    const second = (first + gap) % length;
    x[(row * length + first) * 2] = 1;
    x[(row * length + second) * 2 + 1] = 1;
    return Number(first < second);
  });
  const data = dataOf([length, 2], x, targets, [], 2);
  const rmsprop = member("optimizers", "rmsprop", { lr: 0.01 });
  const ordered = await validated([layer("lstm", { hidden_size: 12 }), layer("linear")], data, 15, rmsprop);
  // The sum over time, all that is left without the order, is the same for every row.
  const pooled = Float32Array.from({ length: rows * 2 }, () => 1);
  const unordered = await validated([layer("linear")], dataOf([2], pooled, targets, [], 2), 15, rmsprop);
  expect(ordered.valid_accuracy - unordered.valid_accuracy).toBeGreaterThan(0.15);
});

test("a small transformer learns what no table of pairs knows", async () => {
  const [rows, context, tokens] = [400, 12, 7];
  const noise = draws(rows * (context + 1), 10, 5);
  const chance = draws(rows * (context + 1), tokens, 6);
  // Each token is the sum of the two before it; one in ten is drawn at random.
  const sequences = Array.from({ length: rows }, (_, row) => {
    const sequence: number[] = [];
    for (let i = 0; i <= context; i++) {
      const at = row * (context + 1) + i;
      const next = i < 2 || noise[at] === 0 ? chance[at] : (sequence[i - 1] + sequence[i - 2]) % tokens;
      sequence.push(next);
    }
    return sequence;
  });
  const x = Int32Array.from(sequences.flatMap((sequence) => sequence.slice(0, -1)));
  const targets = sequences.flatMap((sequence) => sequence.slice(1));
  const block = layer("transformer_encoder_layer", {
    nhead: 2,
    dim_feedforward: 64,
    dropout: 0,
    norm_first: true,
    causal: true,
  });
  const layers = [
    layer("embedding", { embedding_dim: 32 }),
    layer("position_embedding"),
    block,
    block,
    layer("layer_norm"),
    layer("linear"),
  ];
  const data = dataOf([context], x, targets, [context], tokens);
  const { valid_loss } = await validated(layers, data, 40, member("optimizers", "adam", { lr: 0.005 }));
  expect(bigramLoss(sequences, tokens) - valid_loss).toBeGreaterThan(0.3);
});

/** The loss of the best table of pairs on all sequences: the entropy of a token after another. */
function bigramLoss(sequences: readonly number[][], tokens: number): number {
  const counts = Array.from({ length: tokens }, () => Array.from({ length: tokens }, () => 0));
  for (const sequence of sequences) for (let i = 1; i < sequence.length; i++) counts[sequence[i - 1]][sequence[i]]++;
  let [loss, total] = [0, 0];
  for (const row of counts) {
    const sum = row.reduce((a, b) => a + b, 0);
    for (const count of row) if (count > 0) loss -= count * Math.log(count / sum);
    total += sum;
  }
  return loss / total;
}
