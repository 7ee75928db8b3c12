import { parentPort } from "node:worker_threads";
import type { TorchTensor } from "./optimizers/torch.ts";
import {
  assembledFile,
  forkState,
  hashed,
  modelFile,
  restoreState,
  restoreTensors,
  writeState,
  type HashedFile,
  type Progress,
  type StateEntry,
  type Successor,
} from "./state.ts";

/*
 * The thread that turns states into files and back, so that neither training nor an event loop waits for copying and hashing. One
 * a process; its callers are in state-worker.ts.
 */

export type StateTask =
  | {
      readonly type: "write";
      readonly memory: WebAssembly.Memory;
      readonly entries: readonly StateEntry[];
      readonly offset: number;
      readonly progress: Progress;
    }
  | {
      readonly type: "restore";
      readonly memory: WebAssembly.Memory;
      readonly entries: readonly StateEntry[];
      readonly file: Uint8Array;
    }
  | {
      readonly type: "weights";
      readonly memory: WebAssembly.Memory;
      readonly entries: readonly StateEntry[];
      readonly file: Uint8Array;
    }
  | {
      readonly type: "fork";
      readonly file: Uint8Array;
      readonly changes: Partial<Progress>;
      readonly successor: Successor;
    }
  | { readonly type: "assemble"; readonly file: Uint8Array; readonly wanted: ReadonlyMap<string, TorchTensor> }
  | { readonly type: "model"; readonly file: Uint8Array; readonly which: "final" | "best" };

export interface StateRequest {
  readonly id: number;
  readonly task: StateTask;
}

export type StateReply = { readonly id: number } & (
  | { readonly result: HashedFile | Progress | null }
  | { readonly error: string }
);

function perform(task: StateTask): HashedFile | Progress | null {
  switch (task.type) {
    case "write":
      return hashed(writeState(new Uint8Array(task.memory.buffer), task.entries, task.offset, task.progress));
    case "restore":
      return restoreState(task.file, new Uint8Array(task.memory.buffer), task.entries);
    case "weights":
      restoreTensors(task.file, new Uint8Array(task.memory.buffer), task.entries);
      return null;
    case "fork":
      return forkState(task.file, task.changes, task.successor);
    case "assemble":
      return assembledFile(task.file, task.wanted);
    case "model":
      return modelFile(task.file, task.which);
  }
}

parentPort?.on("message", ({ id, task }: StateRequest) => {
  try {
    const result = perform(task);
    parentPort!.postMessage(
      { id, result } satisfies StateReply,
      result !== null && "bytes" in result ? [result.bytes.buffer] : [],
    );
  } catch (error) {
    parentPort!.postMessage({ id, error: error instanceof Error ? error.message : String(error) } satisfies StateReply);
  }
});
