import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { LARGE_BYTES } from "./garbage.ts";
import { Recent } from "./recent.ts";
import type { ThreadRequest } from "./messages.ts";

/*
 * The process' training threads. Starting a thread costs some 50 ms, so idle threads are kept for a
 * while and used again. The pool also counts the threads that train now, since spinning at a
 * barrier pays only while each of them has a core.
 */

/**
 * The turns that a thread spins at a barrier before it sleeps, if every training thread has a core.
 * With fewer turns the threads fall asleep one after the other.
 */
const SPIN_TURNS = 300_000;

/** Idle threads kept; more are ended. */
const IDLE_THREADS = 64;

/** For so long: each takes some 20 MB. */
export const IDLE_MS = 60_000;

/** The one that has been idle for the longest time comes first. */
const idle: { readonly worker: Worker; readonly since: number }[] = [];
let timer: NodeJS.Timeout | null = null;
/**
 * How often a collection was asked for, and how many of these requests each thread has received.
 */
let collections = 0;
const told = new WeakMap<Worker, number>();
/** The plans that each thread has from its last jobs. */
const plans = new WeakMap<Worker, Recent<true>>();
const crews = new Map<object, { threads: number; setSpin(turns: number): void }>();

/** Threads for one crew, new or idle. */
export function takeThreads(count: number): Worker[] {
  return Array.from({ length: count }, () => {
    const worker = idle.pop()?.worker ?? startThread();
    forget(worker);
    worker.ref();
    return worker;
  });
}

function startThread(): Worker {
  const worker = new Worker(new URL("./thread.ts", import.meta.url));
  told.set(worker, collections);
  return worker;
}

/**
 * Returns a thread that has left its job. `sharedBytes`: the size of the memory and the data to
 * which it had references.
 */
export function returnThread(worker: Worker, sharedBytes: number): void {
  forget(worker);
  worker.unref();
  if (idle.length >= IDLE_THREADS) {
    void worker.terminate();
    return;
  }
  idle.push({ worker, since: performance.now() });
  timer ??= setInterval(() => endIdle(performance.now()), IDLE_MS / 4).unref();
  // An idle thread that dies must not be lent again.
  worker.once("error", () => {});
  worker.once("exit", () => {
    const at = idle.findIndex((other) => other.worker === worker);
    if (at >= 0) idle.splice(at, 1);
  });
  if (sharedBytes >= LARGE_BYTES || told.get(worker) !== collections) collect(worker);
}

/** Ends the threads that no crew has taken for IDLE_MS. */
export function endIdle(now: number): void {
  const young = idle.findIndex(({ since }) => now - since < IDLE_MS);
  for (const { worker } of idle.splice(0, young === -1 ? idle.length : young)) void worker.terminate();
  if (idle.length > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}

/** Whether the thread still has a plan from an earlier job. It is about to use that plan again. */
export function hasPlan(worker: Worker, planId: number): boolean {
  const recent = plans.get(worker) ?? new Recent<true>();
  const has = recent.get(planId) ?? false;
  recent.use(planId, true);
  plans.set(worker, recent);
  return has;
}

/**
 * Makes all threads collect garbage, so that shared memory that was given up becomes free. Idle
 * threads do so now, the others when they have left their job.
 */
export function collectThreads(): void {
  collections++;
  for (const { worker } of idle) collect(worker);
}

function collect(worker: Worker): void {
  told.set(worker, collections);
  worker.postMessage({ type: "collect" } satisfies ThreadRequest);
}

/**
 * Only these listeners: removing all listeners would also remove the worker's internal ones, and no
 * message would arrive any more.
 */
function forget(worker: Worker): void {
  for (const event of ["message", "error", "exit"]) worker.removeAllListeners(event);
}

/**
 * Counts a crew in; `setSpin` is called now and whenever the number of training threads changes.
 */
export function joinCrews(crew: object, threads: number, setSpin: (turns: number) => void): void {
  crews.set(crew, { threads, setSpin });
  shareCores();
}

export function leaveCrews(crew: object): void {
  if (crews.delete(crew)) shareCores();
}

function shareCores(): void {
  const training = [...crews.values()].reduce((sum, crew) => sum + crew.threads, 0);
  const turns = training <= coresForTraining ? SPIN_TURNS : 0;
  for (const crew of crews.values()) crew.setSpin(turns);
}

/** A container's quota counts, not the machine's cores alone. */
const coresForTraining = availableParallelism();
