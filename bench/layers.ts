import { layers } from "../src/engine/layers/registry.generated.ts";
import { withDefaults } from "../src/engine/member/options.ts";
import { size, type Shape } from "../src/engine/member/shape.ts";
import type { Member } from "../src/engine/settings.ts";
import { LayerRun } from "../test/support/layer-run.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

// Milliseconds of every layer's forward pass, and of its backward pass with all gradients, by one
// thread on a batch of 16 at two sizes: the median and the lowest of some rounds. torch_layers.py
// sets PyTorch beside it. `npm run bench -- layers` measures all of them; names in BENCH_LAYERS, as
// in "conv2d,lstm", choose some.

const BATCH = 16;
const ROUNDS = 9;

/** A short pass is measured again and again for so long. */
const MEASURED_MS = 60;
const MAX_ROUNDS = 500;

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
  reshape: { shape: [-1, 16] },
  rnn: { hidden_size: 128, num_layers: 1, dropout: 0 },
  gru: { hidden_size: 128, bidirectional: false },
  lstm: { hidden_size: 128, num_layers: 1, bidirectional: false },
  group_norm: { num_groups: 8 },
  multihead_attention: { num_heads: 4 },
  transformer_encoder_layer: { nhead: 4, dim_feedforward: 256 },
  swiglu: { hidden_features: 256 },
};

/** Shapes that mean something else than those of the same rank: heads, and columns of a table. */
const OWN_SHAPES: Readonly<Record<string, readonly [Shape, Shape]>> = {
  column_embedding: [[10], [100]],
  rotary_embedding: [
    [64, 4, 16],
    [256, 4, 64],
  ],
  scaled_dot_product_attention: [
    [4, 64, 16],
    [4, 256, 64],
  ],
};

/** Uses that take other ways through the kernels than the examples do. */
const MORE: readonly (readonly [type: string, shape: Shape, options: object])[] = [
  ["conv2d", [32, 56, 56], { out_channels: 32, kernel_size: [3, 3], padding: [1, 1], groups: 32 }],
  ["conv2d", [32, 56, 56], { out_channels: 64, kernel_size: [3, 3], padding: [1, 1], stride: [2, 2] }],
  ["conv2d", [64, 28, 28], { out_channels: 64, kernel_size: [1, 1], padding: [0, 0] }],
  ["conv1d", [64, 256], { out_channels: 64, kernel_size: [9], padding: [4], groups: 64 }],
  ["conv_transpose2d", [32, 28, 28], { out_channels: 32, kernel_size: [4, 4], stride: [2, 2], padding: [1, 1] }],
  ["avg_pool2d", [32, 56, 56], { kernel_size: [3, 3], stride: [1, 1], padding: [1, 1] }],
  ["max_pool2d", [32, 56, 56], { kernel_size: [3, 3], stride: [2, 2], padding: [1, 1] }],
  ["adaptive_avg_pool2d", [32, 56, 56], { output_size: [7, 7] }],
  ["group_norm", [32, 56, 56], { num_groups: 8 }],
  ["layer_norm", [32, 28, 28], { normalized_shape: [32, 28, 28] }],
];

function timed(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

interface Times {
  readonly forward: readonly number[];
  readonly backward: readonly number[];
}

function measure(member: Member, shape: Shape, tokens: number | undefined): Times {
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
  run.setInputs([x]);
  run.forward([], true);
  const upstream = run.output().map(() => Math.random());
  const forward: number[] = [];
  const backward: number[] = [];
  const begin = performance.now();
  while (forward.length < ROUNDS || (forward.length < MAX_ROUNDS && performance.now() - begin < MEASURED_MS)) {
    // Layers that work in place write over what they were given.
    run.setInputs([x]);
    forward.push(timed(() => run.forward([], true)));
    run.setUpstream(upstream);
    backward.push(
      timed(() => {
        run.backward([], true);
        run.gradients();
      }),
    );
  }
  return { forward, backward };
}

/** Every layer that a spec can name at both sizes, then the further uses. */
function* cases(): Generator<{ member: Member; shape: Shape; tokens: number | undefined }> {
  for (const { type, internal, example = { input: [12] } } of Object.values(layers)) {
    if (internal) continue;
    const member = withDefaults(layers[type], { ...example.options, ...LARGE[type] });
    const { tokens } = example;
    for (const shape of OWN_SHAPES[type] ?? SHAPES[example.input.length]) yield { member, shape, tokens };
  }
  for (const [type, shape, options] of MORE)
    yield { member: withDefaults(layers[type], { ...options }), shape, tokens: undefined };
}

export function benchLayers(): void {
  const rows = [];
  const wanted = process.env.BENCH_LAYERS?.split(",");
  console.log(`ms of ${BATCH} samples by one thread, median (lowest): forward, and backward with all gradients`);
  for (const { member, shape, tokens = null } of cases()) {
    const { type, ...options } = member;
    if (wanted !== undefined && !wanted.includes(type)) continue;
    const { forward, backward } = measure(member, shape, tokens ?? undefined);
    const times = {
      forward_ms: median(forward),
      forward_ms_min: Math.min(...forward),
      backward_ms: median(backward),
      backward_ms_min: Math.min(...backward),
    };
    rows.push({ layer: type, shape, batch: BATCH, tokens, options, ...times });
    const columns = [forward, backward].map(
      (each) => `${median(each).toFixed(3).padStart(9)} (${Math.min(...each).toFixed(3)})`,
    );
    console.log(
      `${type.padEnd(30)} ${shape.join(" × ").padEnd(14)} ${columns.map((column) => column.padEnd(20)).join(" ")}`,
    );
  }
  finish("layers", rows);
}
