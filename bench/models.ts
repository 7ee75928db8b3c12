import { setTimeout as sleep } from "node:timers/promises";
import { Crew } from "../src/engine/crew/crew.ts";
import { planFor } from "../src/engine/crew/load.ts";
import type { TrainingJob } from "../src/engine/job.ts";
import { kernelSets, type KernelSet } from "./kernel-sets.ts";
import { layers } from "../src/engine/layers/registry.generated.ts";
import { losses } from "../src/engine/losses/registry.generated.ts";
import { withDefaults } from "../src/engine/member/options.ts";
import { size, type Shape } from "../src/engine/member/shape.ts";
import { optimizers } from "../src/engine/optimizers/registry.generated.ts";
import { workMs } from "../src/engine/plan/work.ts";
import type { Member } from "../src/engine/settings.ts";
import type { TrainingData } from "../src/engine/training.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

// Milliseconds a training step of whole models, under Adam by default, gathering the batch
// included: by a real crew, from step to step. `npm run bench -- models` measures all of them;
// letters in BENCH_WORKLOADS, as in "cd", choose some. With WebAssembly's kernels, and with native
// ones where they are built; RAPPEL_KERNELS chooses one of them.

interface Workload {
  readonly name: string;
  /** Of a sample: numbers, or tokens where `tokens` says how many different ones there are. */
  readonly input: Shape;
  readonly tokens?: number;
  /** Null: a probability. */
  readonly classes: number | null;
  /** Of a sample: [] for one class, or a length for a class at every position. */
  readonly target: Shape;
  readonly layers: readonly Member[];
  /** Default: Adam. */
  readonly optimizer?: Member;
  readonly batch: number;
  /** Steps of one measurement. */
  readonly steps: number;
}

const layer = (type: string, options: object = {}): Member => withDefaults(layers[type], { ...options });
const linear = (outputs: number | null, options: object = {}) => layer("linear", { out_features: outputs, ...options });
const relu = layer("relu");
const pool = () => layer("max_pool2d", { kernel_size: [2, 2] });

/** A small GPT: token and position embeddings, blocks, a norm and a linear layer. */
function gpt(
  context: number,
  width: number,
  blocks: number,
  heads: number,
  batch: number,
  steps: number,
): Omit<Workload, "name"> {
  const block = layer("transformer_encoder_layer", {
    nhead: heads,
    dim_feedforward: 4 * width,
    dropout: 0,
    activation: "gelu",
    norm_first: true,
    causal: true,
  });
  return {
    input: [context],
    tokens: 65,
    classes: 65,
    target: [context],
    layers: [
      layer("embedding", { embedding_dim: width }),
      layer("position_embedding"),
      ...Array.from({ length: blocks }, () => block),
      layer("layer_norm"),
      linear(null, { bias: false }),
    ],
    batch,
    steps,
  };
}

/** A table of which a batch uses 64 rows. */
const table = (optimizer: string): Omit<Workload, "name"> => ({
  input: [1],
  tokens: 1_000_000,
  classes: 10,
  target: [],
  layers: [layer("embedding", { embedding_dim: 16 }), layer("flatten"), linear(null)],
  optimizer: withDefaults(optimizers[optimizer]),
  batch: 64,
  steps: 10_000,
});

const workloads: Readonly<Record<string, () => Workload>> = {
  a: () => ({
    name: "logistic regression, 20 features, batch 32",
    input: [20],
    classes: null,
    target: [],
    layers: [linear(1)],
    batch: 32,
    steps: 60_000,
  }),
  b: () => ({
    name: "MLP 784-256-128-10, batch 64",
    input: [784],
    classes: 10,
    target: [],
    layers: [linear(256), relu, linear(128), relu, linear(null)],
    batch: 64,
    steps: 600,
  }),
  c: () => ({
    name: "LeNet 28×28, batch 64",
    input: [1, 28, 28],
    classes: 10,
    target: [],
    layers: [
      layer("conv2d", { out_channels: 6, kernel_size: [5, 5], padding: [2, 2] }),
      relu,
      pool(),
      layer("conv2d", { out_channels: 16, kernel_size: [5, 5] }),
      relu,
      pool(),
      layer("flatten"),
      linear(120),
      relu,
      linear(84),
      relu,
      linear(null),
    ],
    batch: 64,
    steps: 150,
  }),
  d: () => ({
    name: "LSTM 32→128, sequence 64, batch 32",
    input: [64, 32],
    classes: 10,
    target: [],
    layers: [layer("lstm", { hidden_size: 128, output: "last" }), linear(null)],
    batch: 32,
    steps: 60,
  }),
  e: () => ({ name: "character GPT, 4 layers, 4 heads, d 128, context 64, batch 16", ...gpt(64, 128, 4, 4, 16, 15) }),
  f: () => ({ name: "character GPT, 6 layers, 6 heads, d 384, context 256, batch 8", ...gpt(256, 384, 6, 6, 8, 4) }),
  g: () => ({ name: "table of 1,000,000 × 16, batch 64, under sgd", ...table("sgd") }),
  h: () => ({ name: "table of 1,000,000 × 16, batch 64, under sparse_adam", ...table("sparse_adam") }),
};

const ROUNDS = 7;

/** Random inputs and targets; what they are does not matter here. */
function randomData({ input, tokens, classes, target, batch, steps }: Workload): TrainingData {
  const rows = Math.min(4096, batch * steps);
  const numbers = (count: number, next: () => number) => new Float32Array(shared(count)).map(next);
  const integers = (count: number, below: number) =>
    new Int32Array(shared(count)).map(() => Math.floor(Math.random() * below));
  const values =
    tokens === undefined
      ? numbers(rows * size(input), () => Math.random() * 2 - 1)
      : integers(rows * size(input), tokens);
  const targets =
    classes === null
      ? numbers(rows * size(target), () => Math.round(Math.random()))
      : integers(rows * size(target), classes);
  return {
    inputs: [
      {
        name: "x",
        shape: input,
        type: tokens === undefined ? "float32" : "int32",
        categories: tokens,
        values: onShared(values),
      },
    ],
    targets: onShared(targets),
    targetShape: target,
    trainRows: onShared(Int32Array.from({ length: rows }, (_, i) => i)),
    validRows: new Int32Array(shared(0)),
    testRows: new Int32Array(shared(0)),
    target: {
      classes: classes === null ? null : Array.from({ length: classes }, (_, i) => String(i)),
      mean: 0,
      std: 1,
    },
  };
}

const shared = (count: number) => new SharedArrayBuffer(count * 4);

/** `map` gives an array on a buffer of its own. */
function onShared<A extends Float32Array | Int32Array>(array: A): A {
  const buffer = shared(array.length);
  const copy = array instanceof Float32Array ? new Float32Array(buffer) : new Int32Array(buffer);
  copy.set(array);
  return copy as A;
}

function jobOf(workload: Workload, data: TrainingData): TrainingJob {
  const rows = data.trainRows.length;
  return {
    model: { layers: workload.layers },
    loss: withDefaults(losses[workload.classes === null ? "bce_with_logits" : "cross_entropy"]),
    optimizer: workload.optimizer ?? withDefaults(optimizers.adam),
    schedule: { type: "constant", interval: "step", warmup_steps: 0 },
    training: {
      epochs: Math.ceil((workload.steps * workload.batch) / rows),
      batch_size: workload.batch,
      seed: 1,
      shuffle: true,
      drop_last: false,
      clip_grad_norm: null,
      clip_grad_value: null,
      eval_every_epochs: 1,
      log_every_steps: Math.ceil(workload.steps / 1000),
      early_stopping: null,
    },
    keepBest: false,
    data,
  };
}

/** Milliseconds a step, from a fifth of the way to the end. */
async function measure(workload: Workload, data: TrainingData, threads: number, kernels: KernelSet): Promise<number> {
  const job = jobOf(workload, data);
  const crew = await Crew.start(
    job,
    { threads, everySteps: null, state: null, kernels: kernels === "wasm" ? "wasm" : "auto" },
    { log() {}, evaluated() {}, snapshot() {} },
  );
  const running = crew.run();
  while (crew.progress().step < workload.steps / 5) await sleep(1);
  const begin = { step: crew.progress().step, time: performance.now() };
  await running;
  return (performance.now() - begin.time) / (crew.progress().step - begin.step);
}

/** Measures one workload, by its letter. */
export function modelTimer(letter: string) {
  const workload = workloads[letter]();
  const data = randomData(workload);
  return {
    name: workload.name,
    measure: (threads: number, kernels: KernelSet) => measure(workload, data, threads, kernels),
  };
}

export async function benchModels(): Promise<void> {
  console.log(`ms/step, median of ${ROUNDS} interleaved rounds (lowest)`);
  const rows = [];
  for (const letter of process.env.BENCH_WORKLOADS ?? Object.keys(workloads).join("")) {
    const workload = workloads[letter]();
    const data = randomData(workload);
    const cases = kernelSets().flatMap((kernels) =>
      [1, 2].map((threads) => ({ kernels, threads, times: [] as number[] })),
    );
    for (let round = 0; round < ROUNDS; round++)
      for (const { kernels, threads, times } of cases) times.push(await measure(workload, data, threads, kernels));
    const measured = cases.map(({ kernels, threads, times }) => ({
      workload: letter,
      threads,
      kernels,
      ms: median(times),
      ms_min: Math.min(...times),
    }));
    rows.push(...measured);
    const columns = measured.map(
      ({ threads, kernels, ms, ms_min: least }) =>
        `${kernels}, ${threads} thread${threads === 1 ? " " : "s"} ${ms.toFixed(4)} (${least.toFixed(4)})`,
    );
    const plan = planFor(jobOf(workload, data), 1);
    const estimate = workMs(plan, { steps: 1, batches: 1, evaluations: 0, evaluatedRows: 0 });
    console.log(`${`${letter}. ${workload.name}`.padEnd(66)} ${columns.join("   ")}   estimate ${estimate.toFixed(4)}`);
  }
  finish("models", rows);
}
