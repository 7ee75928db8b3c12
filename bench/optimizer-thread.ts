import { parentPort, workerData } from "node:worker_threads";
import { Barrier } from "../src/engine/step/barrier.ts";
import { WORD } from "../src/engine/crew/control.ts";
import { Gradient } from "../src/engine/step/gradient.ts";
import { instantiateKernels } from "../src/engine/kernels/kernels.ts";
import type { KernelSet } from "./kernel-sets.ts";
import type { Plan } from "../src/engine/plan/model.ts";
import { gradientTiles, parameterBlocks, share } from "../src/engine/plan/slices.ts";
import { Update } from "../src/engine/step/update.ts";

/**
 * One thread of a measurement: steps of an optimizer as a crew runs them, with gradients that stay
 * the same.
 */

export interface Measurement {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly plan: Plan;
  readonly thread: number;
  readonly kernels: KernelSet;
}

/** Milliseconds per step, and per copy of the state. */
export interface Times {
  readonly stepping: number;
  readonly copying: number;
}

/** Duration of a measurement. */
const DURATION_MS = 30;

const { module, memory, plan, thread, kernels: set } = workerData as Measurement;
const kernels = instantiateKernels(module, memory, set === "wasm" ? "wasm" : "auto");
const words = new Int32Array(memory.buffer, plan.addresses.control);
words[WORD.spin] = 1_000_000;
const barrier = new Barrier(kernels, words, plan.addresses.control, plan.threads);
const gradient = new Gradient(kernels, plan, { seed: 0, clip_grad_norm: null, clip_grad_value: null }, barrier, thread);
const update = new Update(kernels, plan, gradient, barrier, thread);
const tiles = gradientTiles(plan, thread);

let t = 0;
fill(kernels);
barrier.meet();
const stepping = measured(step);
const copying = measured(copyState);
if (thread === 0) parentPort!.postMessage({ stepping, copying } satisfies Times);

/** Milliseconds per run. The leader tries it first and decides how often to run. */
function measured(run: () => void): number {
  run();
  const once = timed(1, run);
  if (thread === 0) words[WORD.request] = Math.min(20_000, Math.ceil(DURATION_MS / once));
  barrier.meet();
  return timed(words[WORD.request], run);
}

function timed(count: number, run: () => void): number {
  barrier.meet();
  const begin = performance.now();
  for (let i = 0; i < count; i++) run();
  barrier.meet();
  return (performance.now() - begin) / count;
}

function step(): void {
  update.begin(++t, [{ lr: 1e-4, momentum: null }], false);
  for (const tile of tiles) update.tileReady(tile);
  if (!update.tilewise) update.run(0, () => 0);
  barrier.meet();
}

function copyState(): void {
  const { state, stateBytes, snapshot } = plan.addresses;
  const [from, to] = share(stateBytes / 64, thread, plan.threads).map((line) => line * 64);
  kernels.u8.copyWithin(snapshot + from, state + from, state + to);
  barrier.meet();
}

/** Sets weights and gradients to numbers within ± 1, and the state to zeros. */
function fill({ fill_uniform, u8 }: typeof kernels): void {
  const { state, stateBytes } = plan.addresses;
  const [from, to] = share(stateBytes, thread, plan.threads);
  u8.fill(0, state + from, state + to);
  barrier.meet();
  for (const { parameter, begin, end } of parameterBlocks(plan, thread)) {
    const { weight, gradient } = plan.parameters[parameter];
    fill_uniform(weight, begin, end, 1, 0, 0, 1);
    fill_uniform(gradient, begin, end, 1, 0, 1, 1);
  }
}
