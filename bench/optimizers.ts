import { Worker } from "node:worker_threads";
import { compileKernels, createMemory } from "../src/engine/kernels/kernels.ts";
import { planModel, type Plan } from "../src/engine/model.ts";
import type { OptimizerType } from "../src/engine/optimizers/optimizer.ts";
import { optimizers } from "../src/engine/optimizers/registry.generated.ts";
import { withDefaults, type Member } from "../src/engine/options.ts";
import type { Measurement, Times } from "./optimizer-thread.ts";
import { median } from "./statistics.ts";

/*
 * Parameters updated a second by every optimizer of the default dialect, of one square matrix of n weights, and what share of the speed of
 * copying memory that is. The bytes are the least that an update must move: the gradient read, weights and state read and written. What
 * copying moves counts likewise, read and written; it is measured in the same rounds, on weights and state.
 */

const SIZES = [1e3, 1e4, 1e5, 1e6, 1e7];
const THREADS = [1, 2];
const ROUNDS = 3;
/** An optimizer whose step may take longer than this is not measured at that size. */
const LONGEST_MS = 4000;

/** What would make an optimizer stop, or not fit into memory. */
const CHANGES: Readonly<Record<string, Record<string, unknown>>> = {
  lbfgs: { max_iter: 1, lr: 1e-3, history_size: 5, tolerance_grad: 0, tolerance_change: 0 },
};

const module = compileKernels();
/** One for all measurements: a process keeps shared memories long after they were used. */
let memory: WebAssembly.Memory;

export async function benchOptimizers(): Promise<void> {
  const types = Object.values(optimizers) as readonly unknown[] as readonly OptimizerType[];
  const members = types.flatMap((type) => (type.dialect === undefined ? [withDefaults(type, CHANGES[type.type])] : []));
  const needs = members.map((member) => planOf(member, SIZES.at(-1)!, THREADS.at(-1)!).memoryBytes);
  memory = createMemory(Math.max(...needs));
  console.log(
    "10⁶ parameters a second with 1 / 2 threads; in brackets the share of the speed of copying memory, in per cent",
  );
  console.log(
    row(
      "",
      "bytes",
      SIZES.map((n) => n.toExponential(0).replace("+", "")),
    ),
  );
  for (const member of members) {
    const cells: string[] = [];
    let last = 0;
    for (const n of SIZES) {
      if (last * 32 > LONGEST_MS) continue;
      const speeds: string[] = [];
      for (const threads of THREADS) {
        const plan = planOf(member, n, threads);
        const { step, share } = await repeat(plan, member);
        last = step;
        speeds.push(`${(plan.parameterCount / step / 1e3).toFixed(0)} (${(100 * share).toFixed(0)})`);
      }
      cells.push(speeds.join(" / "));
    }
    console.log(row(member.type, bytesOf(planOf(member, SIZES[0], 1)).toFixed(0), cells));
  }
}

function row(name: string, bytes: string, cells: readonly string[]): string {
  return [name.padEnd(20), bytes.padStart(5), ...cells.map((cell) => cell.padStart(24))].join(" ");
}

/** A model of one square matrix of about n weights. */
function planOf(optimizer: Member, n: number, threads: number): Plan {
  const side = Math.round(Math.sqrt(n));
  const options = { in_features: null, bias: false, weight_init: "default", bias_init: "default", name: null };
  return planModel({
    model: { layers: [{ type: "linear", out_features: side, ...options }] },
    loss: { type: "mse" },
    optimizer: { ...optimizer },
    inputShape: [side],
    target: { classes: null, width: side },
    batchRows: 1,
    trainRows: 1,
    validRows: 0,
    threads,
    keepBest: false,
  });
}

/** Bytes a parameter: its gradient read, weight and state read and written. */
function bytesOf({ parameters: [{ length, state }] }: Plan): number {
  const sizes = state.map(({ shape }) => shape.reduce((product, count) => product * count, 1));
  return 12 + (8 * sizes.reduce((sum, size) => sum + size, 0)) / length;
}

/** Milliseconds a step, and the share of the speed of copying in the same round; medians. */
async function repeat(plan: Plan, optimizer: Member): Promise<{ step: number; share: number }> {
  const rounds: Times[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await measure(plan, optimizer));
  const moved = plan.parameterCount * bytesOf(plan);
  const copied = 2 * plan.addresses.stateBytes;
  return {
    step: median(rounds.map(({ stepping }) => stepping)),
    share: median(rounds.map(({ stepping, copying }) => moved / stepping / (copied / copying))),
  };
}

function measure(plan: Plan, optimizer: Member): Promise<Times> {
  return new Promise((resolve, reject) => {
    let times: Times | null = null;
    let ended = 0;
    for (let thread = 0; thread < plan.threads; thread++) {
      const workerData: Measurement = { module, memory, plan, optimizer, thread };
      const worker = new Worker(new URL("optimizer-thread.ts", import.meta.url), { workerData });
      worker.once("error", reject);
      worker.on("message", (message: Times) => (times = message));
      worker.once("exit", () => ++ended === plan.threads && resolve(times!));
    }
  });
}
