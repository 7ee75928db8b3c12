import { Worker } from "node:worker_threads";
import { LARGE_BYTES } from "../crew/garbage.ts";
import type { TorchTensor } from "../optimizers/torch.ts";
import { zeroMemory } from "../kernels/kernels.ts";
import type { Which } from "./model-files.ts";
import type { Progress, StateEntry, Successor } from "./state.ts";
import { tasks, type TaskInput, type TaskName, type TaskResult } from "./state-tasks.ts";
import type { StateReply, StateRequest } from "./state-thread.ts";

/*
 * The face of the thread of states (state-thread.ts) for the main thread. Files may be large, so
 * they are transferred, not copied: a function takes over the file that it is given, and the
 * caller's array is empty afterwards.
 *
 * A thread that runs small jobs by itself does this work itself, too.
 */

interface Waiting {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

let here = false;
/** How long the thread is kept after its last task. It takes some 20 MB. */
const IDLE_MS = 30_000;

let worker: Worker | null = null;
let ending: NodeJS.Timeout | undefined;
let next = 0;
const waiting = new Map<number, Waiting>();

/** From now on this thread does the work itself. */
export function workHere(): void {
  here = true;
}

function start(): Worker {
  const started = new Worker(new URL("./state-thread.ts", import.meta.url));
  started.unref();
  started.on("message", (reply: StateReply) => {
    const { resolve, reject } = waiting.get(reply.id)!;
    waiting.delete(reply.id);
    if (waiting.size === 0) {
      started.unref();
      ending = setTimeout(end, IDLE_MS).unref();
    }
    if ("error" in reply) reject(reply.error);
    else resolve(reply.result);
  });
  started.on("error", (error) => {
    worker = null;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  return started;
}

function end(): void {
  void worker?.terminate();
  worker = null;
}

async function perform<T extends TaskName>(
  name: T,
  input: TaskInput<T>,
  file: Uint8Array<ArrayBuffer> | null = null,
): Promise<TaskResult<T>> {
  if (here) return tasks[name](input as never) as TaskResult<T>;
  clearTimeout(ending);
  worker ??= start();
  worker.ref();
  const id = next++;
  worker.postMessage({ id, name, input } satisfies StateRequest, file ? [file.buffer] : []);
  return await new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as Waiting["resolve"], reject }));
}

/**
 * Runs a task with a job's memory. If the memory is large, the thread collects garbage at once
 * afterwards (garbage.ts).
 */
async function performIn<T extends TaskName>(
  name: T,
  input: TaskInput<T> & { memory: WebAssembly.Memory },
  file: Uint8Array<ArrayBuffer> | null = null,
): Promise<TaskResult<T>> {
  try {
    return await perform(name, input, file);
  } finally {
    if (input.memory.buffer.byteLength >= LARGE_BYTES) collectStateThread();
  }
}

/** Makes the thread collect garbage, so that shared memory that was given up becomes free. */
export function collectStateThread(): void {
  if (worker !== null) perform("collect", null).catch(() => undefined);
}

/** The file on a buffer of its own, because only whole buffers can be transferred. */
function owned(file: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = file;
  const whole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  return whole ? (file as Uint8Array<ArrayBuffer>) : file.slice();
}

/** The state file from the snapshot buffer, `offset` bytes after the entries' addresses. */
export const serializeState = (
  memory: WebAssembly.Memory,
  entries: readonly StateEntry[],
  offset: number,
  progress: Progress,
) => performIn("write", { memory, entries, offset, progress });

/**
 * Copies a state file into the memory. @throws Error if the file is damaged or is not of this job
 */
export function loadState(state: Uint8Array, memory: WebAssembly.Memory, entries: readonly StateEntry[]) {
  const file = owned(state);
  return performIn("restore", { file, memory, entries }, file);
}

/**
 * Copies initial weights into the memory, and tells the names of those that the file lacks.
 * @throws Error if the file is damaged or is not of this job
 */
export function loadWeights(model: Uint8Array, memory: WebAssembly.Memory, entries: readonly StateEntry[]) {
  const file = owned(model);
  return performIn("weights", { file, memory, entries }, file);
}

/** To clear so many bytes takes less time than to ask another thread for it. */
const SMALL_MEMORY_BYTES = 2 ** 21;

/** `zeroMemory`, here or in the thread of states. */
export async function clearMemory(memory: WebAssembly.Memory, used: number): Promise<void> {
  if (used <= SMALL_MEMORY_BYTES) zeroMemory(memory, used);
  else await performIn("clear", { memory, used });
}

/** A state for another job to go on from. @throws Error if the file is damaged */
export function forkState(state: Uint8Array, changes: Partial<Progress>, successor: Successor) {
  const file = owned(state);
  return perform("fork", { file, changes, successor }, file);
}

/**
 * A file whose tensors are cut from those of a state file. @throws Error if the state file is
 * damaged
 */
export function assembleFile(state: Uint8Array, wanted: ReadonlyMap<string, TorchTensor>) {
  const file = owned(state);
  return perform("assemble", { file, wanted }, file);
}

/**
 * The model files of the last or the best weights in a state file. The state file is returned too.
 * @throws Error if it has no such weights
 */
export function extractModels(state: Uint8Array, which: readonly Which[]) {
  const file = owned(state);
  return perform("models", { file, which }, file);
}
