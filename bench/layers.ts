import { layers } from "../src/engine/layers/registry.generated.ts";
import { withDefaults } from "../src/engine/member/options.ts";
import { size, type Shape } from "../src/engine/member/shape.ts";
import { LayerRun } from "../test/support/layer-run.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

// Milliseconds of every layer's forward pass, and of its backward pass with all gradients, by one
// thread on a batch of 16 at two sizes.

const BATCH = 16;
const ROUNDS = 9;

/** Inputs of each rank: numbers, sequences or tokens, and images. */
const SHAPES: Readonly<Record<number, readonly [small: Shape, large: Shape]>> = {
  1: [[256], [4096]],
  2: [
    [64, 64],
    [256, 256],
  ],
  3: [
    [8, 28, 28],
    [32, 56, 56],
  ],
};

/** Options and shapes of layers whose examples do not scale by themselves. */
const LARGE: Readonly<Record<string, object>> = {
  linear: { out_features: 256 },
  conv1d: { out_channels: 64, kernel_size: [3], groups: 1 },
  conv2d: { out_channels: 32, kernel_size: [3, 3], padding: [1, 1] },
  conv_transpose2d: { out_channels: 16, kernel_size: [3, 3], stride: [2, 2] },
  embedding: { embedding_dim: 128 },
  rnn: { hidden_size: 128, num_layers: 1, dropout: 0 },
  gru: { hidden_size: 128, bidirectional: false },
  lstm: { hidden_size: 128, num_layers: 1, bidirectional: false },
  group_norm: { num_groups: 8 },
  multihead_attention: { num_heads: 4 },
  transformer_encoder_layer: { nhead: 4, dim_feedforward: 256 },
  swiglu: { hidden_features: 256 },
};

/** Shapes that are no image although they have three dimensions. */
const SEQUENCES: Readonly<Record<string, readonly [Shape, Shape]>> = {
  rotary_embedding: [
    [64, 4, 16],
    [256, 4, 64],
  ],
  scaled_dot_product_attention: [
    [4, 64, 16],
    [4, 256, 64],
  ],
};

function timed(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

function measure(type: string, shape: Shape): { forward: number; backward: number } {
  const { example = { input: [12] } } = layers[type];
  const member = withDefaults(layers[type], { ...example.options, ...LARGE[type] });
  const { tokens } = example;
  const input = {
    name: "x",
    shape,
    type: tokens === undefined ? "float32" : "int32",
    categories: tokens ?? null,
  } as const;
  const run = new LayerRun([member], [input], BATCH);
  const values = Float32Array.from({ length: BATCH * size(shape) }, () => Math.random());
  const x = tokens === undefined ? values : values.map((value) => Math.floor(value * tokens));
  for (const { name, length } of run.parameters)
    run.setParameter(
      name,
      Float32Array.from({ length }, () => Math.random() / 10),
    );
  run.forward([x], true);
  const upstream = run.output().map(() => Math.random());
  const times = Array.from({ length: ROUNDS }, () => ({
    forward: timed(() => run.forward([x], true)),
    backward: timed(() => {
      run.backward(upstream, true);
      run.gradients();
    }),
  }));
  return { forward: median(times.map((each) => each.forward)), backward: median(times.map((each) => each.backward)) };
}

export function benchLayers(): void {
  const rows = [];
  console.log(`ms of ${BATCH} samples by one thread: forward, and backward with all gradients`);
  for (const { type, internal, example = { input: [12] } } of Object.values(layers)) {
    if (internal) continue;
    for (const shape of SEQUENCES[type] ?? SHAPES[example.input.length]) {
      const { forward, backward } = measure(type, shape);
      rows.push({ layer: type, shape, forward_ms: forward, backward_ms: backward });
      console.log(
        `${type.padEnd(30)} ${shape.join(" × ").padEnd(14)} ${forward.toFixed(3).padStart(9)} ${backward.toFixed(3).padStart(9)}`,
      );
    }
  }
  finish("layers", rows);
}
