/*
 * Shared memory is freed once no isolate of the process refers to it, not even by garbage. V8 does
 * not count shared memory when it decides whether to collect. An idle isolate allocates nothing, so
 * it never collects. The memories of ended jobs would then never be freed. So the code that gives
 * up a shared memory starts a collection in all isolates that had a reference to it.
 */

/**
 * A thread that had this many bytes of shared memory in one task collects garbage right after it.
 */
export const LARGE_BYTES = 16 * 2 ** 20;

/** V8 begins to collect once buffers of this size were allocated since the last time. */
const PRESSURE_BYTES = 128 * 2 ** 20;

let gc: (() => void) | null = null;

/**
 * Collects this isolate at once: a few milliseconds in a thread that is between two tasks. Not for
 * an event loop.
 */
export function collectNow(): void {
  gc ??= exposed();
  gc();
}

/** Loading these modules takes milliseconds, so only threads that need them load them. */
function exposed(): () => void {
  process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
  return process.getBuiltinModule("node:vm").runInNewContext("gc") as () => void;
}

/**
 * Makes V8 collect this isolate step by step, as it usually does, without blocking the event loop.
 * To start this, a large buffer is allocated, which V8 does count. Nobody touches that buffer, so
 * it takes no memory.
 */
export function collectSoon(): void {
  try {
    void new ArrayBuffer(PRESSURE_BYTES);
  } catch {
    // There are not so many addresses, and V8 has collected everything in search of them.
  }
}

/** The same, if the heap of this isolate and what it holds besides take more than this. */
export function collectBeyond(bytes: number): void {
  const { heapUsed, external } = process.memoryUsage();
  if (heapUsed + external > bytes) collectSoon();
}
