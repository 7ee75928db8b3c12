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
