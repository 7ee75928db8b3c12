import { collectSoon } from "./garbage.ts";
import { MAX_MEMORY_BYTES } from "../plan/memory.ts";
import { collectThreads } from "./pool.ts";
import { newMemory } from "./shortage.ts";
import { clearMemory, collectStateThread } from "../state/state-worker.ts";

/*
 * The memories of jobs. When a job ends, its memory is cleared and kept for the next job of its
 * size class, since making a new memory and touching its pages for the first time costs more than
 * clearing an old one. A kept memory is all zeros, as if it were new.
 *
 * At most KEPT_BYTES are kept, memories that are being cleared included, and for at most KEPT_MS. A
 * memory that is dropped is free only after every isolate that had a reference to it has collected
 * garbage (garbage.ts).
 */

export const KEPT_BYTES = 2 ** 30;
export const KEPT_MS = 20_000;
const COLLECT_LATER_MS = 10_000;

/**
 * Sizes are rounded up to a quarter of the next smaller power of two, and to this at least. Pages
 * that no job touches cost nothing.
 */
const LEAST_BYTES = 2 ** 20;

interface Kept {
  readonly memory: WebAssembly.Memory;
  readonly since: number;
}

/** The one that was unused for the longest time comes first. */
const kept: Kept[] = [];
let clearingBytes = 0;
let timer: NodeJS.Timeout | null = null;
let later: NodeJS.Timeout | null = null;

/** A zeroed memory of at least `bytes` bytes. @throws MemoryShortage if there is none to be had */
export async function takeMemory(bytes: number): Promise<WebAssembly.Memory> {
  const size = sizeClass(bytes);
  const last = kept.findLastIndex(({ memory }) => memory.buffer.byteLength === size);
  if (last >= 0) return kept.splice(last, 1)[0].memory;
  makeRoom(size);
  return await newMemory(size, () => {
    kept.length = 0;
    collectAll();
  });
}

/**
 * Takes back a memory that nobody reads or writes any more. `used`: the number of bytes from its
 * beginning that may not be zero.
 */
export async function returnMemory(memory: WebAssembly.Memory, used: number): Promise<void> {
  const size = memory.buffer.byteLength;
  makeRoom(size);
  if (keptBytes() + size > KEPT_BYTES) return collectAll();
  clearingBytes += size;
  try {
    await clearMemory(memory, used);
    kept.push({ memory, since: performance.now() });
    timer ??= setInterval(() => dropUnused(performance.now()), KEPT_MS / 4).unref();
  } catch {
    // The thread that clears memories has died, and its reference to the memory is gone with it.
    collectAll();
  } finally {
    clearingBytes -= size;
  }
}

/** The bytes that are kept for later jobs, memories that are being cleared included. */
export function keptBytes(): number {
  return kept.reduce((sum, { memory }) => sum + memory.buffer.byteLength, clearingBytes);
}

/** Drops memories that no job has taken for KEPT_MS. */
export function dropUnused(now: number): void {
  const young = kept.findIndex(({ since }) => now - since < KEPT_MS);
  drop(young === -1 ? kept.length : young);
  if (kept.length > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}

/** Drops all memories that no job uses. */
export function dropKept(): void {
  drop(kept.length);
}

/**
 * Drops memories, the longest unused first, until there is room for another `bytes` bytes or none
 * is left.
 */
function makeRoom(bytes: number): void {
  let count = 0;
  for (let total = keptBytes() + bytes; count < kept.length && total > KEPT_BYTES; count++)
    total -= kept[count].memory.buffer.byteLength;
  drop(count);
}

function drop(count: number): void {
  if (kept.splice(0, count).length > 0) collectAll();
}

/** Shared memory was given up, so every isolate of training collects garbage. */
function collectAll(): void {
  collectThreads();
  collectStateThread();
  collectSoon();
}

/**
 * The data of a job are in shared memory too. By the time of the collection, the code that prepared
 * the job has dropped its reference, unless the data are kept for other jobs.
 */
export function collectLater(): void {
  later ??= setTimeout(() => {
    later = null;
    collectAll();
  }, COLLECT_LATER_MS).unref();
}

export function sizeClass(bytes: number): number {
  const unit = 2 ** Math.floor(Math.log2(Math.max(bytes, LEAST_BYTES))) / 4;
  return Math.min(Math.max(Math.ceil(bytes / unit) * unit, LEAST_BYTES), MAX_MEMORY_BYTES);
}
