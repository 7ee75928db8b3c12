/**
 * A process may run out of memory, or of addresses for it. Later, or in another process, there may
 * be some.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createMemory } from "../kernels/kernels.ts";

export class MemoryShortage extends Error {
  override readonly name = "MemoryShortage";
}

/** What V8 says, of memories, buffers and instances of modules. */
const WORDS = /could not allocate memory|allocation failed|out of memory/i;
/** What Node says, of buffers and threads. */
const CODES: readonly unknown[] = ["ERR_MEMORY_ALLOCATION_FAILED", "ERR_WORKER_INIT_FAILED"];

/** Whether a shortage of memory is the cause of the error, which may come from another thread. */
export function isShortage(error: unknown): boolean {
  if (error instanceof MemoryShortage) return true;
  if (error instanceof RangeError && WORDS.test(error.message)) return true;
  return CODES.includes((error as NodeJS.ErrnoException | null)?.code);
}

/** How long the isolates get to give up what they no longer need, attempt after attempt. */
const WAITS_MS = [20, 100, 400, 1000];

/**
 * A new memory. If there is none to be had, `giveUp` gives up those that are kept, and it is tried
 * again. V8 collects this isolate whenever an attempt fails.
 * @throws MemoryShortage
 */
export async function newMemory(bytes: number, giveUp: () => void): Promise<WebAssembly.Memory> {
  for (const wait of WAITS_MS) {
    const memory = tryMemory(bytes);
    if (memory !== null) return memory;
    giveUp();
    await sleep(wait);
  }
  const memory = tryMemory(bytes);
  if (memory === null) throw new MemoryShortage(`There are no ${bytes} bytes of memory for the job.`);
  return memory;
}

function tryMemory(bytes: number): WebAssembly.Memory | null {
  try {
    return createMemory(bytes);
  } catch (error) {
    if (isShortage(error)) return null;
    throw error;
  }
}
