/**
 * Loops that repeat what failed. Each has a name. A failure is logged and counted, and the health
 * of the process shows it as long as it lasts.
 *
 * A loop holds one `Retry`, and tells it about each failure, and when it worked or gave up. Like
 * the meters, the list of failing loops belongs to the process. Only the log says what went wrong,
 * because health is public.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "./log.ts";
import { meters } from "./meters.ts";

/** What each loop repeats, in the words of the log. */
export const loops = {
  redis_connection: "a connection to Redis",
  redis_process: "the Redis of this service",
  lock: "renewing the lock on the data directory",
  record: "reading or writing a job's record",
  report: "reporting a job's progress",
  heartbeat: "renewing a lease",
  room: "storing a model, for which Redis has no room",
  dataset: "fetching a dataset from the API",
  result: "sending a result to the API",
  delivery: "taking a delivery from the queue",
  presence: "reporting that this worker is alive",
  reconcile: "repairing what dead processes left behind",
  sets: "putting the results of model sets together",
  studies: "starting the trials of studies",
  archive: "moving ended jobs into the archive",
  webhook_outbox: "handing events on to be sent to webhooks",
} as const;
export type Loop = keyof typeof loops;

/** A loop that has failed and is trying again. */
export interface Retrying {
  loop: Loop;
  /** How many loops with this name fail now. */
  count: number;
  /** The failures in a row of all these loops together. */
  failures: number;
  /** How long the oldest of them has been failing. */
  seconds: number;
}

/** How often a lasting failure is logged again. */
const LOG_AGAIN_MS = 60_000;

const failing = new Set<Retry>();

/** What other threads told of their loops that fail, by who told it. */
const elsewhere = new Map<object, readonly Retrying[]>();

export class Retry {
  readonly loop: Loop;
  readonly #log: Logger;
  #failures = 0;
  #since = 0;
  #saidAt = 0;
  #over = false;

  constructor(loop: Loop, log: Logger) {
    this.loop = loop;
    this.#log = log;
    meters.retries.inc({ loop }, 0);
  }

  get failures(): number {
    return this.#failures;
  }

  get since(): number {
    return this.#since;
  }

  /** An attempt failed, and another will follow. Does nothing if the loop gave up meanwhile. */
  failed(error: unknown): void {
    if (this.#over) return;
    const now = performance.now();
    if (this.#failures === 0) this.#since = now;
    this.#failures++;
    failing.add(this);
    meters.retries.inc({ loop: this.loop });
    if (this.#failures > 1 && now - this.#saidAt < LOG_AGAIN_MS) return;
    this.#saidAt = now;
    this.#log.warn(
      { retry: this.loop, failures: this.#failures, err: error },
      `failed, trying again: ${loops[this.loop]}`,
    );
  }

  worked(): void {
    if (this.#failures === 0) return;
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    this.#log.info({ retry: this.loop, failures: this.#failures, seconds }, `works again: ${loops[this.loop]}`);
    this.#clear();
  }

  /** The loop ends: no further attempt will follow. */
  gaveUp(): void {
    this.#over = true;
    this.#clear();
  }

  #clear(): void {
    this.#failures = 0;
    failing.delete(this);
  }
}

/** Notes the loops that fail in another thread at the moment: all that `teller` has there. */
export function retryingElsewhere(teller: object, loops: readonly Retrying[]): void {
  if (loops.length > 0) elsewhere.set(teller, loops);
  else elsewhere.delete(teller);
}

/** The loops that fail at the moment, the oldest failure first. */
export function retrying(): Retrying[] {
  const now = performance.now();
  const here = [...failing].map(({ loop, failures, since }) => {
    return { loop, count: 1, failures, seconds: Math.round((now - since) / 1000) };
  });
  const found = new Map<Loop, Retrying>();
  for (const { loop, count, failures, seconds } of [...here, ...[...elsewhere.values()].flat()]) {
    const all = found.get(loop) ?? { loop, count: 0, failures: 0, seconds: 0 };
    all.count += count;
    all.failures += failures;
    all.seconds = Math.max(all.seconds, seconds);
    found.set(loop, all);
  }
  return [...found.values()].sort((a, b) => b.seconds - a.seconds);
}

export interface RetryOptions {
  loop: Loop;
  log: Logger;
  /** How long to wait before the next attempt, after so many failures. */
  waitMs(failures: number): number;
  /** Whether an error may pass. Any other error is thrown. */
  passes(error: unknown): boolean;
  signal: AbortSignal;
}

/**
 * Repeats a call until it works. The call must be safe to repeat.
 * @throws the signal's reason when it aborts, and any error of `call` that does not pass
 */
export async function retry<T>(
  { loop, log, waitMs, passes, signal }: RetryOptions,
  call: () => Promise<T>,
): Promise<T> {
  const attempts = new Retry(loop, log);
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        const result = await call();
        attempts.worked();
        return result;
      } catch (error) {
        if (!passes(error)) throw error;
        attempts.failed(error);
      }
      await sleep(waitMs(attempts.failures), null, { signal }).catch(() => undefined);
    }
  } finally {
    attempts.gaveUp();
  }
}
