// A set of 10,000 models through the whole service: MLPs 4-16-3, one for each of 10,000 keys of 150
// rows, 20 epochs of batches of 16 under Adam. The clock runs from POST to `succeeded`. The upload
// of the table is not timed. Then as many rows under ten times as many keys, for the memory: both
// should take the same.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { Client, type SpecInput } from "../src/client/client.ts";
import { kernelSets, type KernelSet } from "./kernel-sets.ts";
import { Processes } from "./processes.ts";
import { finish } from "./report.ts";

const LOOK_MS = 100;

interface Size {
  readonly keys: number;
  /** Of each key. */
  readonly rows: number;
  readonly rounds: number;
}
const SPEED: Size = { keys: 10_000, rows: 150, rounds: 3 };
const MEMORY: readonly Size[] = [
  { keys: 10_000, rows: 100, rounds: 1 },
  { keys: 100_000, rows: 10, rounds: 1 },
];

/** The table, the same every time: four numbers that decide one of three classes. */
function csv({ keys, rows }: Size): Buffer {
  const lines = ["store,a,b,c,d,y"];
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  for (let row = 0; row < keys * rows; row++) {
    const [a, b, c, d] = [next(), next(), next(), next()];
    const label = a + b > 0.5 ? "high" : a + b < -0.5 ? "low" : "mid";
    lines.push(`store ${row % keys},${a.toFixed(3)},${b.toFixed(3)},${c.toFixed(3)},${d.toFixed(3)},${label}`);
  }
  return Buffer.from(lines.join("\n"));
}

function specOf(dataset: string): SpecInput {
  return {
    data: { dataset, target: "y", partition_by: "store", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.01 },
    training: { epochs: 20, batch_size: 16 },
  };
}

async function measure(processes: Processes, kernels: KernelSet, size: Size): Promise<object[]> {
  const { keys: models, rounds } = size;
  // `auto` is what users have where native kernels are built.
  const choice = kernels === "native" ? "auto" : kernels;
  const service = await processes.start(["src/main.ts"], { RAPPEL_KERNELS: choice });
  const redis = new Redis(service.redis);
  const client = new Client({ url: service.address });
  const { id: dataset } = await client.createDataset(csv(size));
  const rows: object[] = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const { id } = await client.createJob(specOf(dataset));
    let redisBytes = 0;
    for (;;) {
      redisBytes = Math.max(redisBytes, Number(/used_memory:(\d+)/.exec(await redis.info("memory"))![1]));
      const { status, models: ended, error } = await client.getJob(id);
      if (status === "succeeded" && ended!.succeeded === models) break;
      if (!["queued", "running"].includes(status)) throw new Error(`the set is ${status}: ${JSON.stringify(error)}`);
      await sleep(LOOK_MS);
    }
    const seconds = (performance.now() - began) / 1000;
    const peak = await peakMb(service.pid);
    rows.push({
      models,
      rows_of_each: size.rows,
      kernels,
      per_second: Math.round(models / seconds),
      redis_bytes: redisBytes,
      peak_mb: peak,
    });
  }
  redis.disconnect();
  return rows;
}

/** The most memory that the process had so far, the table included. */
async function peakMb(pid: number): Promise<number> {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8"))!;
  return Math.round(Number(kilobytes) / 1024);
}

export async function benchSets(): Promise<void> {
  await using processes = await Processes.create();
  const rows: object[] = [];
  for (const kernels of kernelSets()) rows.push(...(await measure(processes, kernels, SPEED)));
  for (const size of MEMORY) rows.push(...(await measure(processes, kernelSets().at(-1)!, size)));
  finish("sets", rows);
}
