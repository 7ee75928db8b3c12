import type { Logger } from "../log.ts";
import { retry } from "../retries.ts";
import { Incomplete, Unavailable } from "../store/errors.ts";

const RETRY_MS = 200;

/** How long a run may write, or may continue what it does, and where it logs what goes wrong. */
export interface Life {
  /** Aborts when the run may not continue. */
  readonly gone: AbortSignal;
  readonly log: Logger;
}

/**
 * Repeats a call while Redis is away. The call must be safe to repeat. A Redis that is full is not
 * away.
 * @throws the reason of `gone` when it aborts, and any other error of `call`
 */
export async function persist<T>({ gone: signal, log }: Life, call: () => Promise<T>): Promise<T> {
  const passes = (error: unknown) => error instanceof Unavailable && !error.full;
  return await retry({ loop: "record", log, waitMs: () => RETRY_MS, passes, signal }, call);
}

/** Repeats a call that uploads and commits if the upload expired while Redis was away. */
export async function persistUpload<T>({ gone: signal, log }: Life, call: () => Promise<T>): Promise<T> {
  const passes = (error: unknown) => error instanceof Incomplete;
  return await retry({ loop: "record", log, waitMs: () => RETRY_MS, passes, signal }, call);
}
