/** Who trains the job of a crew. */
import type { KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
import type { Task, ThreadMessage } from "./messages.ts";
import { isShortage, MemoryShortage } from "./shortage.ts";

export interface Hands {
  /** @throws MemoryShortage if there is no memory of so many bytes to be had */
  takeMemory(bytes: number): Promise<WebAssembly.Memory>;
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
  /** Called if a thread died, or had no memory. The others are stopped then. */
  fail(error: ThreadFailed | MemoryShortage): void;
}

/** What an error is that a thread ended its job with. */
export function failureOf(error: unknown): ThreadFailed | MemoryShortage {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return isShortage(error) ? new MemoryShortage(text) : new ThreadFailed(text);
}

/** A thread of the crew died; the job can go on from its last checkpoint in another crew. */
export class ThreadFailed extends Error {}
