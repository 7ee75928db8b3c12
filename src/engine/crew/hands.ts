/** Who trains the job of a crew. */
import type { KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
import type { Task, ThreadMessage } from "./messages.ts";

export interface Hands {
  /** @throws RangeError if there is no memory of so many bytes to be had */
  takeMemory(bytes: number): WebAssembly.Memory;
  /** `used`: the number of bytes from its beginning that may not be zero. */
  returnMemory(memory: WebAssembly.Memory, used: number): Promise<void>;
  /** Resolves when every thread has left the job. */
  train(task: CrewTask): Promise<void>;
}

export interface CrewTask {
  readonly plan: Plan;
  readonly memory: WebAssembly.Memory;
  readonly kernels: KernelChoice;
  /** The control words. */
  readonly words: Int32Array;
  readonly start: Omit<Task, "thread" | "writesFiles">;
  /** Gets what the threads tell. */
  hear(messages: readonly ThreadMessage[]): void;
  /** Called if a thread died. The others are stopped then. */
  fail(error: ThreadFailed): void;
}

/** A thread of the crew died; the job can go on from its last checkpoint in another crew. */
export class ThreadFailed extends Error {}
