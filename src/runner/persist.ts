import type { Logger } from "../log.ts";
import { retry } from "../retries.ts";
import { Incomplete, Unavailable } from "../store/errors.ts";

const RETRY_MS = 200;

/**
 * For how long a run may write, or may go on with what it is at, and where it says what goes wrong.
 */
export interface Life {
  /** Aborted once it may not. */
  readonly gone: AbortSignal;
  readonly log: Logger;
}

/**
 * Tries again for as long as Redis is away; what is called must bear being done twice. A Redis that
 * is full is not away.
 * @throws the reason of `gone` once the run has no right to write any more, and whatever else
 * `call` throws
 */
export async function persist<T>({ gone: signal, log }: Life, call: () => Promise<T>): Promise<T> {
  const passes = (error: unknown) => error instanceof Unavailable && !error.full;
  return await retry({ loop: "record", log, waitMs: () => RETRY_MS, passes, signal }, call);
}

/** Uploads and commits. Does both again if Redis was away for so long that the upload expired. */
export async function persistUpload<T>({ gone: signal, log }: Life, call: () => Promise<T>): Promise<T> {
  const passes = (error: unknown) => error instanceof Incomplete;
  return await retry({ loop: "record", log, waitMs: () => RETRY_MS, passes, signal }, call);
}
