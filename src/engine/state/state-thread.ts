import { parentPort } from "node:worker_threads";
import { collectNow } from "../crew/garbage.ts";
import { MODULE_BYTES } from "../kernels/kernels.ts";
import type { TorchTensor } from "../optimizers/torch.ts";
import {
  assembledFile,
  forkState,
  hashed,
  modelFile,
  restoreState,
  restoreWeights,
  writeState,
  type HashedFile,
  type Progress,
  type StateEntry,
  type Successor,
  type Which,
} from "./state.ts";

/*
 * The thread that turns states into files and back, and clears memories, so that neither training
 * nor an event loop waits for copying and hashing. One a process; its callers are in
 * state-worker.ts. Files are handed over and back, never copied on the way.
 */

type Bytes = Uint8Array<ArrayBuffer>;
interface Place {
  memory: WebAssembly.Memory;
  entries: readonly StateEntry[];
}

const tasks = {
  write: ({ memory, entries, offset, progress }: Place & { offset: number; progress: Progress }): HashedFile =>
    hashed(writeState(new Uint8Array(memory.buffer), entries, offset, progress)),
  restore: ({ file, memory, entries }: Place & { file: Bytes }): Progress =>
    restoreState(file, new Uint8Array(memory.buffer), entries),
  weights: ({ file, memory, entries }: Place & { file: Bytes }): string[] =>
    restoreWeights(file, new Uint8Array(memory.buffer), entries),
  fork: ({ file, changes, successor }: { file: Bytes; changes: Partial<Progress>; successor: Successor }): HashedFile =>
    forkState(file, changes, successor),
  assemble: ({ file, wanted }: { file: Bytes; wanted: ReadonlyMap<string, TorchTensor> }): HashedFile =>
    assembledFile(file, wanted),
  models: ({ file, which }: { file: Bytes; which: readonly Which[] }): { state: Bytes; models: HashedFile[] } => ({
    state: file,
    models: which.map((one) => modelFile(file, one)),
  }),
  clear({ memory, used }: { memory: WebAssembly.Memory; used: number }): void {
    new Uint8Array(memory.buffer).fill(0, MODULE_BYTES, used);
  },
  collect: collectNow,
};

type Tasks = typeof tasks;
export type TaskName = keyof Tasks;
/** Null if it takes nothing. */
export type TaskInput<T extends TaskName> = Parameters<Tasks[T]> extends [infer Input] ? Input : null;
export type TaskResult<T extends TaskName> = ReturnType<Tasks[T]>;

export interface StateRequest {
  readonly id: number;
  readonly name: TaskName;
  readonly input: unknown;
}

export type StateReply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

parentPort?.on("message", ({ id, name, input }: StateRequest) => {
  try {
    const result = tasks[name](input as never);
    parentPort!.postMessage({ id, result } satisfies StateReply, buffersIn(result));
  } catch (error) {
    parentPort!.postMessage({ id, error: error instanceof Error ? error.message : String(error) } satisfies StateReply);
  }
});

/** The buffers of all files in a result. They are transferred, not copied. */
function buffersIn(result: unknown): ArrayBuffer[] {
  if (result instanceof Uint8Array) return [result.buffer as ArrayBuffer];
  return typeof result === "object" && result !== null ? Object.values(result).flatMap(buffersIn) : [];
}
