import { Worker } from "node:worker_threads";
import type { TorchTensor } from "./optimizers/torch.ts";
import type { HashedFile, Progress, StateEntry, Successor } from "./state.ts";
import type { StateReply, StateTask } from "./state-thread.ts";

interface Waiting {
  resolve(result: HashedFile | Progress | null): void;
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

function perform<R>(task: StateTask): Promise<R> {
  worker ??= start();
  worker.ref();
  const id = next++;
  worker.postMessage({ id, task });
  return new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as Waiting["resolve"], reject }));
}

/** The state file from the snapshot buffer, `offset` bytes after the entries' addresses. */
export const serializeState = (
  memory: WebAssembly.Memory,
  entries: readonly StateEntry[],
  offset: number,
  progress: Progress,
) => perform<HashedFile>({ type: "write", memory, entries, offset, progress });

/** Copies a state file into the memory. @throws Error if the file is damaged or is not of this job */
export const loadState = (file: Uint8Array, memory: WebAssembly.Memory, entries: readonly StateEntry[]) =>
  perform<Progress>({ type: "restore", file, memory, entries });

/** Copies a model file into the memory. @throws Error if the file is damaged or is not of this job */
export const loadWeights = (file: Uint8Array, memory: WebAssembly.Memory, entries: readonly StateEntry[]) =>
  perform<null>({ type: "weights", file, memory, entries });

/** A state for another job to go on from. @throws Error if the file is damaged */
export const forkState = (file: Uint8Array, changes: Partial<Progress>, successor: Successor) =>
  perform<HashedFile>({ type: "fork", file, changes, successor });

/** A file of tensors that are made of stretches of those of a state file. @throws Error if that is damaged */
export const assembleFile = (file: Uint8Array, wanted: ReadonlyMap<string, TorchTensor>) =>
  perform<HashedFile>({ type: "assemble", file, wanted });

/** The model file of the last or the best weights in a state file. @throws Error if there are none */
export const extractModel = (file: Uint8Array, which: "final" | "best") =>
  perform<HashedFile>({ type: "model", file, which });
