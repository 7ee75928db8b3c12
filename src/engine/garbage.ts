/*
 * Shared memory is freed once no isolate of the process refers to it, not even by garbage. V8 does
 * not count shared memory when it decides whether to collect, and an idle isolate allocates
 * nothing, so that it never collects: the memories of ended jobs would stay for ever. So whoever
 * gives up a shared memory has the isolates collected that have seen it.
 */

/** A thread that has seen this much shared memory in one task is collected right after it. */
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

/** Threads that never need these modules do not load them: they take milliseconds. */
function exposed(): () => void {
  process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
  return process.getBuiltinModule("node:vm").runInNewContext("gc") as () => void;
}

/**
 * Has V8 collect this isolate step by step, as it does for itself, without holding up the event
 * loop. It is told of a buffer that is as large as what it does not see. Nobody touches that
 * buffer, so that it takes no memory.
 */
export function collectSoon(): void {
  void new ArrayBuffer(PRESSURE_BYTES);
}
