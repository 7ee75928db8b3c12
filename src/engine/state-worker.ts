import { Worker } from "node:worker_threads";
import { LARGE_BYTES } from "./garbage.ts";
import type { TorchTensor } from "./optimizers/torch.ts";
import type { Progress, StateEntry, Successor, Which } from "./state.ts";
import type { StateReply, StateRequest, TaskInput, TaskName, TaskResult } from "./state-thread.ts";

/*
 * What the thread of states does for others. A file is not copied on its way there, however large:
 * the function that is given one takes it over, and the caller's array is empty afterwards.
 */

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

let worker: Worker | null = null;
let next = 0;
const waiting = new Map<number, Waiting>();

function start(): Worker {
  const started = new Worker(new URL("./state-thread.ts", import.meta.url));
  started.unref();
  started.on("message", (reply: StateReply) => {
    const { resolve, reject } = waiting.get(reply.id)!;
    waiting.delete(reply.id);
    if (waiting.size === 0) started.unref();
    if ("error" in reply) reject(new Error(reply.error));
    else resolve(reply.result);
  });
  started.on("error", (error) => {
    worker = null;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });
  return started;
}

async function perform<T extends TaskName>(
  name: T,
  input: TaskInput<T>,
  file: Uint8Array<ArrayBuffer> | null = null,
): Promise<TaskResult<T>> {
  worker ??= start();
  worker.ref();
  const id = next++;
  worker.postMessage({ id, name, input } satisfies StateRequest, file ? [file.buffer] : []);
  return await new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as Waiting["resolve"], reject }));
}

/** A task with a job's memory, which the thread lets go of at once if it is large (garbage.ts). */
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

/** Lets the thread go of shared memory that was given up. */
export function collectStateThread(): void {
  if (worker !== null) perform("collect", null).catch(() => undefined);
}

/** The file on a buffer of its own, as it must be to be handed over. */
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
 * Copies a model file into the memory. @throws Error if the file is damaged or is not of this job
 */
export function loadWeights(model: Uint8Array, memory: WebAssembly.Memory, entries: readonly StateEntry[]) {
  const file = owned(model);
  return performIn("weights", { file, memory, entries }, file);
}

/** Zeroes the first `used` bytes of a memory. */
export const clearMemory = (memory: WebAssembly.Memory, used: number) => performIn("clear", { memory, used });

/** A state for another job to go on from. @throws Error if the file is damaged */
export function forkState(state: Uint8Array, changes: Partial<Progress>, successor: Successor) {
  const file = owned(state);
  return perform("fork", { file, changes, successor }, file);
}

/**
 * A file of tensors that are made of stretches of those of a state file. @throws Error if that is
 * damaged
 */
export function assembleFile(state: Uint8Array, wanted: ReadonlyMap<string, TorchTensor>) {
  const file = owned(state);
  return perform("assemble", { file, wanted }, file);
}

/**
 * The model files of the last or the best weights in a state file, which is given back. @throws
 * Error if there are none
 */
export function extractModels(state: Uint8Array, which: readonly Which[]) {
  const file = owned(state);
  return perform("models", { file, which }, file);
}
