/** What it takes to send a request again. */

export interface Idempotent {
  /** Requests with the same key and body do the same thing only once. */
  readonly idempotencyKey?: string;
}

/** The key as a header; without one, a new key. */
export function keyOf({ idempotencyKey = crypto.randomUUID() }: Idempotent): Record<string, string> {
  return { "idempotency-key": idempotencyKey };
}

/** How long to wait if the service does not say, and the longest wait. */
const WAIT_S = 1;
const MAX_WAIT_S = 60;
/**
 * Largest random addition, so that clients that were refused together do not come back together.
 */
const JITTER = 0.1;

/** How long to wait after an answer with this `Retry-After`. Null if that is too long. */
export function waitMs(retryAfter: string | null): number | null {
  const asked = /^\d+(\.\d+)?$/.test(retryAfter ?? "") ? Number(retryAfter) : 0;
  const seconds = asked || WAIT_S;
  return seconds > MAX_WAIT_S ? null : 1000 * seconds * (1 + JITTER * Math.random());
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
