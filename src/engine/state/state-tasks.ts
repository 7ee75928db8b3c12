/** What can be done to a state: by the thread of states, or by a thread that does it itself. */
import { collectNow } from "../crew/garbage.ts";
import { zeroMemory } from "../kernels/kernels.ts";
import type { TorchTensor } from "../optimizers/torch.ts";
import { modelFile, type Which } from "./model-files.ts";
import {
  assembledFile,
  forkState,
  hashed,
  restoreState,
  restoreWeights,
  writeState,
  type HashedFile,
  type Progress,
  type StateEntry,
  type Successor,
} from "./state.ts";

type Bytes = Uint8Array<ArrayBuffer>;
interface Place {
  memory: WebAssembly.Memory;
  entries: readonly StateEntry[];
}

export const tasks = {
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
  clear: ({ memory, used }: { memory: WebAssembly.Memory; used: number }): void => zeroMemory(memory, used),
  collect: collectNow,
};

type Tasks = typeof tasks;
export type TaskName = keyof Tasks;
/** Null if it takes nothing. */
export type TaskInput<T extends TaskName> = Parameters<Tasks[T]> extends [infer Input] ? Input : null;
export type TaskResult<T extends TaskName> = ReturnType<Tasks[T]>;
