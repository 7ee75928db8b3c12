import { setTimeout as sleep } from "node:timers/promises";
import { Unavailable } from "../store/errors.ts";

const RETRY_MS = 200;

/**
 * Tries again for as long as Redis is away; what is called must bear being done twice. A Redis that is full is not away.
 * @throws the reason of `gone` once the run has no right to write any more, and whatever else `call` throws
 */
export async function persist<T>(gone: AbortSignal, call: () => Promise<T>): Promise<T> {
  for (;;) {
    gone.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Unavailable) || error.full) throw error;
    }
    await sleep(RETRY_MS, null, { signal: gone }).catch(() => undefined);
  }
}
