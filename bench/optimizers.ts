import { Worker } from "node:worker_threads";
import { compileKernels, createMemory } from "../src/engine/kernels/kernels.ts";
import { planModel, type Plan } from "../src/engine/plan/model.ts";
import { optimizers } from "../src/engine/optimizers/registry.generated.ts";
import { withDefaults } from "../src/engine/member/options.ts";
import type { Measurement, Times } from "./optimizer-thread.ts";
import { kernelSets, type KernelSet } from "./kernel-sets.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";
import type { Member } from "../src/engine/settings.ts";

/*
 * Parameters per second that every optimizer of the default dialect updates, in four equal matrices
 * of n weights together. It also prints the bytes per second, compared with copying memory and with
 * Adam. The bytes are those that the passes read and write. Copying is counted in the same way. It
 * is measured in the same rounds as the optimizer and Adam, on weights and state. Names in
 * BENCH_OPTIMIZERS, as in "adam,sgd", choose some.
 */

export const SIZES = [1e3, 1e4, 1e5, 1e6, 1e7];
const THREADS = [1, 2];
const ROUNDS = 3;
/** An optimizer is not measured at a size where its step may take longer than this. */
const LONGEST_MS = 4000;

/**
 * Bytes per parameter of each pass over a matrix, for optimizers with several. All others read the
 * gradient, and read and write weights and state.
 */
const PASS_BYTES: Readonly<Record<string, readonly number[]>> = {
  adafactor: [4, 4, 4, 12],
  lamb: [28, 12],
  novograd: [4, 20],
  prodigy: [36, 16],
};

/** Options without which an optimizer would stop early, or not fit into memory. */
const CHANGES: Readonly<Record<string, Record<string, unknown>>> = {
  lbfgs: { max_iter: 1, lr: 1e-3, history_size: 5, tolerance_grad: 0, tolerance_change: 0 },
};

const module = compileKernels();
/**
 * One memory for all measurements, because a process keeps shared memories long after their use.
 */
let memory: WebAssembly.Memory | undefined;

/** Milliseconds a step of Adam alone. */
export async function adamMs(n: number, threads: number, kernels: KernelSet): Promise<number> {
  const adam = withDefaults(optimizers.adam);
  memory ??= createMemory(planOf(adam, SIZES.at(-1)!, THREADS.at(-1)!).memoryBytes);
  return (await measure(planOf(adam, n, threads), kernels)).stepping;
}

export async function benchOptimizers(): Promise<void> {
  const chosen = process.env.BENCH_OPTIMIZERS?.split(",");
  const types = Object.values(optimizers).filter(({ type }) => chosen?.includes(type) ?? true);
  const members = types.flatMap((type) => (type.dialect === undefined ? [withDefaults(type, CHANGES[type.type])] : []));
  const needs = members.map((member) => planOf(member, SIZES.at(-1)!, THREADS.at(-1)!).memoryBytes);
  memory = createMemory(Math.max(...needs));
  console.log(
    "10⁶ parameters per second with 1 / 2 threads; in brackets the bytes per second in per cent of copying memory, and of Adam",
  );
  console.log(
    row(
      "",
      "bytes",
      SIZES.map((n) => n.toExponential(0).replace("+", "")),
    ),
  );
  const rows: object[] = [];
  for (const kernels of kernelSets()) for (const member of members) rows.push(...(await benchOne(member, kernels)));
  finish("optimizers", rows);
}

/** Prints the row of one optimizer. */
async function benchOne(member: Member, kernels: KernelSet): Promise<object[]> {
  const rows: object[] = [];
  const cells: string[] = [];
  let last = 0;
  for (const n of SIZES) {
    if (last * 32 > LONGEST_MS) continue;
    const found: Figures[] = [];
    for (const threads of THREADS) {
      const figures = await repeat(n, threads, member, kernels);
      found.push(figures);
      rows.push({
        optimizer: member.type,
        parameters: n,
        threads,
        kernels,
        per_second: figures.speed * 1e6,
      });
    }
    last = found[0].step;
    const both = (text: (figures: Figures) => string) => found.map(text).join(" / ");
    const shares = `(${both(({ ofCopy }) => percent(ofCopy))}, ${both(({ ofAdam }) => percent(ofAdam))})`;
    cells.push(`${both(({ speed }) => speed.toFixed(0))} ${shares}`);
  }
  console.log(row(`${member.type} ${kernels}`, bytesOf(planOf(member, SIZES[0], 1), member).toFixed(0), cells));
  return rows;
}

const percent = (share: number): string => (100 * share).toFixed(0);

function row(name: string, bytes: string, cells: readonly string[]): string {
  return [name.padEnd(27), bytes.padStart(5), ...cells.map((cell) => cell.padStart(36))].join(" ");
}

/** Several matrices, because one thread takes the whole of a matrix in some passes. */
const MATRICES = 4;

/** A model of square matrices with about n weights together. */
function planOf(optimizer: Member, n: number, threads: number): Plan {
  const side = Math.round(Math.sqrt(n / MATRICES));
  const options = { in_features: null, bias: false, weight_init: "default", bias_init: "default", name: null };
  return planModel({
    model: { layers: Array.from({ length: MATRICES }, () => ({ type: "linear", out_features: side, ...options })) },
    loss: { type: "mse" },
    optimizer: { ...optimizer },
    inputs: [{ name: "features", shape: [side], type: "float32" }],
    target: { classes: null, shape: [side] },
    smallestBatch: 1,
    batchRows: 1,
    trainRows: 1,
    evaluatedRows: 0,
    threads,
    keepBest: false,
  });
}

/** Bytes per parameter that a step reads and writes. */
function bytesOf({ parameters: [{ length, state }] }: Plan, { type }: Member): number {
  if (type in PASS_BYTES) return PASS_BYTES[type].reduce((sum, bytes) => sum + bytes, 0);
  const sizes = state.map(({ shape }) => shape.reduce((product, count) => product * count, 1));
  return 12 + (8 * sizes.reduce((sum, size) => sum + size, 0)) / length;
}

interface Figures {
  /** Milliseconds per step. */
  readonly step: number;
  /** 10⁶ parameters per second. */
  readonly speed: number;
  readonly ofCopy: number;
  readonly ofAdam: number;
}

/** Medians over rounds. Each round measures the optimizer, copying and Adam. */
async function repeat(n: number, threads: number, member: Member, kernels: KernelSet): Promise<Figures> {
  const plan = planOf(member, n, threads);
  const adam = withDefaults(optimizers.adam);
  const adamPlan = planOf(adam, n, threads);
  const moved = plan.parameterCount * bytesOf(plan, member);
  const movedByAdam = adamPlan.parameterCount * bytesOf(adamPlan, adam);
  const rounds: { step: number; ofCopy: number; ofAdam: number }[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const { stepping, copying } = await measure(plan, kernels);
    const beside = await measure(adamPlan, kernels);
    rounds.push({
      step: stepping,
      ofCopy: moved / stepping / ((2 * plan.addresses.stateBytes) / copying),
      ofAdam: moved / stepping / (movedByAdam / beside.stepping),
    });
  }
  const step = median(rounds.map((round) => round.step));
  return {
    step,
    speed: plan.parameterCount / step / 1e3,
    ofCopy: median(rounds.map(({ ofCopy }) => ofCopy)),
    ofAdam: median(rounds.map(({ ofAdam }) => ofAdam)),
  };
}

function measure(plan: Plan, kernels: KernelSet): Promise<Times> {
  return new Promise((resolve, reject) => {
    let times: Times | null = null;
    let ended = 0;
    for (let thread = 0; thread < plan.threads; thread++) {
      const workerData: Measurement = { module, memory: memory!, plan, thread, kernels };
      const worker = new Worker(new URL("optimizer-thread.ts", import.meta.url), { workerData });
      worker.once("error", reject);
      worker.on("message", (message: Times) => (times = message));
      worker.once("exit", () => ++ended === plan.threads && resolve(times!));
    }
  });
}
