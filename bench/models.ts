import { setTimeout as sleep } from "node:timers/promises";
import { Crew } from "../src/engine/crew/crew.ts";
import type { TrainingJob } from "../src/engine/job.ts";
import type { Member } from "../src/engine/settings.ts";
import type { TrainingData } from "../src/engine/training.ts";
import { median } from "./statistics.ts";

// Milliseconds per training step of whole models with Adam, including the gathering of the batch. A
// real crew trains them.

interface Workload {
  readonly name: string;
  readonly inputs: number;
  readonly classes: number | null;
  readonly layers: readonly Member[];
  readonly loss: Member;
  readonly batch: number;
  /** Number of steps of one measurement. */
  readonly steps: number;
}

const init = { bias: true, weight_init: "default", bias_init: "default", in_features: null };
const linear = (outputs: number | null): Member => ({ type: "linear", out_features: outputs, ...init });
const relu: Member = { type: "relu" };

const workloads: readonly Workload[] = [
  {
    name: "a. logistic regression, 20 features, batch 32",
    inputs: 20,
    classes: null,
    layers: [linear(1)],
    loss: { type: "bce_with_logits", pos_weight: null, weight: null },
    batch: 32,
    steps: 60_000,
  },
  {
    name: "b. MLP 784-256-128-10, batch 64",
    inputs: 784,
    classes: 10,
    layers: [linear(256), relu, linear(128), relu, linear(null)],
    loss: { type: "cross_entropy", label_smoothing: 0, weight: null, ignore_class: null },
    batch: 64,
    steps: 600,
  },
];

const ROUNDS = 7;
const ROWS = 4096;

/** Random features and targets. Their values do not matter here. */
function randomData(inputs: number, classes: number | null): TrainingData {
  const shared = (count: number) => new SharedArrayBuffer(count * 4);
  const features = new Float32Array(shared(ROWS * inputs)).map(() => Math.random() * 2 - 1);
  const targets =
    classes === null
      ? new Float32Array(shared(ROWS)).map(() => Math.round(Math.random()))
      : new Int32Array(shared(ROWS)).map(() => Math.floor(Math.random() * classes));
  return {
    inputs: [{ name: "features", shape: [inputs], type: "float32", values: onShared(features) }],
    targets: onShared(targets),
    targetShape: [],
    trainRows: onShared(Int32Array.from({ length: ROWS }, (_, i) => i)),
    validRows: new Int32Array(shared(0)),
    testRows: new Int32Array(shared(0)),
    target: {
      classes: classes === null ? null : Array.from({ length: classes }, (_, i) => String(i)),
      mean: 0,
      std: 1,
    },
  };
}

function onShared<A extends Float32Array | Int32Array>(array: A): A {
  const buffer = new SharedArrayBuffer(array.byteLength);
  const copy = array instanceof Float32Array ? new Float32Array(buffer) : new Int32Array(buffer);
  copy.set(array);
  return copy as A;
}

/** Milliseconds per step, without the first fifth of the steps. */
async function measure(workload: Workload, data: TrainingData, threads: number): Promise<number> {
  const job: TrainingJob = {
    model: { layers: workload.layers },
    loss: workload.loss,
    optimizer: {
      type: "adam",
      lr: 0.001,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weight_decay: 0,
      amsgrad: false,
      maximize: false,
    },
    schedule: { type: "constant", interval: "step", warmup_steps: 0 },
    training: {
      epochs: Math.ceil((workload.steps * workload.batch) / ROWS),
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
  const crew = await Crew.start(
    job,
    { threads, everySteps: null, state: null },
    { log() {}, evaluated() {}, snapshot() {} },
  );
  const running = crew.run();
  while (crew.progress().step < workload.steps / 5) await sleep(1);
  const begin = { step: crew.progress().step, time: performance.now() };
  await running;
  return (performance.now() - begin.time) / (crew.progress().step - begin.step);
}

export async function benchModels(): Promise<void> {
  console.log(`ms/step, median of ${ROUNDS} interleaved rounds (lowest)`);
  for (const workload of workloads) {
    const data = randomData(workload.inputs, workload.classes);
    const times: Record<number, number[]> = { 1: [], 2: [] };
    for (let round = 0; round < ROUNDS; round++)
      for (const threads of [1, 2]) times[threads].push(await measure(workload, data, threads));
    const column = (threads: number) =>
      `${median(times[threads]).toFixed(4)} (${Math.min(...times[threads]).toFixed(4)})`;
    console.log(`${workload.name.padEnd(48)} 1 thread ${column(1)}   2 threads ${column(2)}`);
  }
}
