import { parentPort, workerData } from "node:worker_threads";
import type { TrainingJob } from "../src/engine/job.ts";
import type { KernelChoice } from "../src/engine/kernels/native.ts";
import { layers } from "../src/engine/layers/registry.generated.ts";
import { losses } from "../src/engine/losses/registry.generated.ts";
import { withDefaults } from "../src/engine/member/options.ts";
import { optimizers } from "../src/engine/optimizers/registry.generated.ts";
import { packJob, trainPack } from "../src/engine/pack/train.ts";
import type { TrainingData } from "../src/engine/training.ts";

/* A thread of bench/packs.ts: trains its models each time it is asked to. */

export interface PackTask {
  readonly models: number;
  /** Whether each is given to the engine by itself. */
  readonly apart: boolean;
  readonly kernels: KernelChoice;
}

const ROWS = 150;
const WIDTH = 4;

function data(): TrainingData {
  const values = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i * 12.9898 + (i % WIDTH)));
  const targets = Int32Array.from({ length: ROWS }, (_, i) => {
    const sum = values[i * WIDTH] + values[i * WIDTH + 1];
    return sum > 0.5 ? 2 : Number(sum > -0.5);
  });
  return {
    inputs: [{ name: "features", shape: [WIDTH], type: "float32", values }],
    targets,
    targetShape: [],
    trainRows: Int32Array.from({ length: ROWS }, (_, i) => i),
    validRows: new Int32Array(0),
    testRows: new Int32Array(0),
    target: { classes: ["a", "b", "c"], mean: 0, std: 1 },
  };
}

const linear = (outputs: number | null) => withDefaults(layers.linear, { out_features: outputs });

const shared: TrainingJob = {
  model: { layers: [linear(16), withDefaults(layers.relu), linear(null)] },
  loss: withDefaults(losses.cross_entropy),
  optimizer: withDefaults(optimizers.adam, { lr: 0.01 }),
  schedule: { type: "constant", interval: "step", warmup_steps: 0 },
  training: {
    epochs: 20,
    batch_size: 16,
    seed: 0,
    shuffle: true,
    drop_last: false,
    clip_grad_norm: null,
    clip_grad_value: null,
    eval_every_epochs: 1,
    log_every_steps: 10,
    early_stopping: null,
  },
  keepBest: false,
  data: data(),
};

const { models, apart, kernels } = workerData as PackTask;

parentPort!.on("message", () => {
  const jobs = Array.from({ length: models }, (_, seed) => ({ ...shared, training: { ...shared.training, seed } }));
  for (const some of apart ? jobs.map((job) => [job]) : [jobs])
    trainPack(some.map(packJob), { choice: kernels, start: null, onlyModels: false, due: () => false }).next();
  parentPort!.postMessage(null);
});
