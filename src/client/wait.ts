/** How long to wait if the service does not say, and the most that anybody waits for it. */
const WAIT_S = 1;
const MAX_WAIT_S = 60;
/**
 * What is added at random at most, so that clients that were sent away together do not come back
 * together.
 */
const JITTER = 0.1;

/** For how long to wait after an answer with this `Retry-After`; null if that is too long. */
export function waitMs(retryAfter: string | null): number | null {
  const asked = /^\d+(\.\d+)?$/.test(retryAfter ?? "") ? Number(retryAfter) : 0;
  const seconds = asked || WAIT_S;
  return seconds > MAX_WAIT_S ? null : 1000 * seconds * (1 + JITTER * Math.random());
}
