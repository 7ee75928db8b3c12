import type { Worker } from "node:worker_threads";
import { kernelModule } from "../kernels/kernels.ts";
import { dataBytes } from "../training.ts";
import { WORD } from "./control.ts";
import { ThreadFailed, type CrewTask, type Hands } from "./hands.ts";
import { returnMemory, takeMemory } from "./memories.ts";
import type { StartMessage, ThreadMessage } from "./messages.ts";
import { hasPlan, joinCrews, leaveCrews, returnThread, takeThreads } from "./pool.ts";
import { Ids } from "./recent.ts";

const ids = new Ids();

/** Trains by threads of the pool, in pooled memory. */
export const pooled: Hands = {
  takeMemory,
  returnMemory,
  async train(task) {
    const { threads } = task.plan;
    joinCrews(task, threads, (turns) => Atomics.store(task.words, WORD.spin, turns));
    try {
      await Promise.all(takeThreads(threads).map((worker, thread) => trainBy(worker, thread, task)));
    } finally {
      leaveCrews(task);
    }
  },
};

/** Resolves when the thread has left the job, or has ended. */
function trainBy(
  worker: Worker,
  thread: number,
  { plan, memory, kernels, start, hear, fail }: CrewTask,
): Promise<void> {
  return new Promise((left) => {
    worker.once("error", (error) => fail(new ThreadFailed(`a training thread failed: ${error.message}`)));
    worker.once("exit", () => {
      fail(new ThreadFailed("a training thread ended"));
      left();
    });
    worker.on("message", (messages: readonly ThreadMessage[]) => {
      hear(messages);
      if (messages.at(-1)!.type !== "idle") return;
      returnThread(worker, plan.memoryBytes + dataBytes(start.job.data));
      left();
    });
    const planId = ids.of(plan);
    worker.postMessage({
      ...start,
      type: "start",
      module: kernelModule(),
      kernels,
      memory,
      memoryId: ids.of(memory),
      plan: hasPlan(worker, planId) ? null : plan,
      planId,
      thread,
      writesFiles: false,
    } satisfies StartMessage);
  });
}
