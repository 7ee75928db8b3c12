/*
 * A crew of one: the thread that runs a small job trains it itself. There are no messages to other
 * threads, no barriers, and no waiting for either. Every few milliseconds it returns to its event
 * loop for a turn, so that what is asked of the run is heard, and what it writes goes out.
 *
 * The memories of its jobs are kept, and cleared on the spot: these jobs are small. Their kernels
 * are kept with them.
 */
import { setImmediate as turn } from "node:timers/promises";
import { instantiateKernels, kernelModule, zeroMemory, type Kernels } from "../kernels/kernels.ts";
import type { KernelChoice } from "../kernels/native.ts";
import { Aborted } from "../step/barrier.ts";
import { WORD } from "./control.ts";
import { CrewThread } from "./crew-thread.ts";
import { failureOf, type CrewTask, type Hands } from "./hands.ts";
import { collectSoon } from "./garbage.ts";
import { sizeClass } from "./memories.ts";
import type { Outbox } from "./mail.ts";
import type { ThreadMessage } from "./messages.ts";
import { newMemory } from "./shortage.ts";

/** How long it trains before the event loop has a turn. */
const TURN_MS = 10;

/** Memories that are kept for later jobs, and how large each may be. */
const KEPT = 4;
const KEPT_BYTES = 2 ** 24;

/** In the order of their last use. */
let kept: WebAssembly.Memory[] = [];
const instances = new WeakMap<WebAssembly.Memory, { readonly choice: KernelChoice; readonly kernels: Kernels }>();

export const inline: Hands = {
  async takeMemory(bytes) {
    const size = sizeClass(bytes);
    const found = kept.find(({ buffer }) => buffer.byteLength === size);
    if (found === undefined) return await newMemory(size, () => void (kept = []));
    kept = kept.filter((memory) => memory !== found);
    return found;
  },
  async returnMemory(memory, used) {
    if (memory.buffer.byteLength > KEPT_BYTES) return collectSoon();
    zeroMemory(memory, used);
    kept.push(memory);
    if (kept.length <= KEPT) return;
    kept.shift();
    collectSoon();
  },
  async train(task) {
    try {
      const { memory, kernels, plan, start, words } = task;
      const mail = new InlineMail(task);
      const thread = new CrewThread(kernelsOf(memory, kernels), plan, { ...start, thread: 0, writesFiles: true }, mail);
      for (const _turn of thread.run()) {
        await turn();
        while (words[WORD.suspended] === 1 && words[WORD.abort] === 0) await change(words, WORD.suspended, 1);
        mail.turned();
      }
    } catch (error) {
      if (!(error instanceof Aborted)) task.fail(failureOf(error));
    }
  },
};

function kernelsOf(memory: WebAssembly.Memory, choice: KernelChoice): Kernels {
  const known = instances.get(memory);
  if (known?.choice === choice) return known.kernels;
  const kernels = instantiateKernels(kernelModule(), memory, choice);
  instances.set(memory, { choice, kernels });
  return kernels;
}

/** Resolves when the word may have another value. */
async function change(words: Int32Array, word: number, value: number): Promise<void> {
  await Atomics.waitAsync(words, word, value).value;
}

class InlineMail implements Outbox {
  readonly #task: CrewTask;
  #turnedAt = performance.now();
  #turnDue = false;

  constructor(task: CrewTask) {
    this.#task = task;
  }

  post(message: ThreadMessage): void {
    this.#task.hear([message]);
    // A checkpoint is written from the event loop.
    if (message.type === "snapshot") this.#turnDue = true;
  }

  due(): boolean {
    return this.#turnDue || performance.now() - this.#turnedAt >= TURN_MS;
  }

  turned(): void {
    this.#turnDue = false;
    this.#turnedAt = performance.now();
  }
}
