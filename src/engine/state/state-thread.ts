import { parentPort } from "node:worker_threads";
import { tasks, type TaskName } from "./state-tasks.ts";

/*
 * The thread that turns states into files and back, and clears memories, so that neither training
 * nor an event loop waits for copying and hashing. One a process; its callers are in
 * state-worker.ts. Files are handed over and back, never copied on the way.
 */

export interface StateRequest {
  readonly id: number;
  readonly name: TaskName;
  readonly input: unknown;
}

export type StateReply = { readonly id: number } & ({ readonly result: unknown } | { readonly error: unknown });

parentPort?.on("message", ({ id, name, input }: StateRequest) => {
  try {
    const result = tasks[name](input as never);
    parentPort!.postMessage({ id, result } satisfies StateReply, buffersIn(result));
  } catch (error) {
    parentPort!.postMessage({ id, error } satisfies StateReply);
  }
});

/** The buffers of all files in a result. They are transferred, not copied. */
function buffersIn(result: unknown): ArrayBuffer[] {
  if (result instanceof Uint8Array) return [result.buffer as ArrayBuffer];
  return typeof result === "object" && result !== null ? Object.values(result).flatMap(buffersIn) : [];
}
