import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Spec } from "../src/contract/schema/spec.ts";
import { trainShard } from "../src/sets/train-shard.ts";
import { SET_MODELS, type SetTask } from "./set-table.ts";

/* A thread of bench/sets.ts: trains shards until none is left. */

const SHARD = 500;

const spec = Spec.parse({
  data: { dataset: `ds_${"0".repeat(26)}`, target: "y", features: ["a", "b", "c", "d"], partition_by: "store" },
  model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam", lr: 0.01 },
  training: { epochs: 20, batch_size: 16 },
});

const { table, next, kernels } = workerData as SetTask;
const shape = { keys: SET_MODELS, folds: 1, seeds: 1 };

async function train(directory: string): Promise<void> {
  for (;;) {
    const from = Atomics.add(next, 0, 1) * SHARD;
    if (from >= SET_MODELS) break;
    const shard = { spec, table, shape, from, to: from + SHARD, inherited: null, kernels };
    await trainShard(shard, join(directory, String(from)), { turn: () => turn(), ended() {} });
  }
  parentPort!.postMessage(null);
}

parentPort!.on("message", (directory: string) => void train(directory));
