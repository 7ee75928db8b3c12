/**
 * Notices that a crew stands still: that its count of steps and of validated rows has not moved for half a minute.
 *
 * Some models take longer than that for a single step. How long theirs are is known once one is done, and then ten times the longest pause is waited;
 * before that, ten minutes.
 */
const STILL_MS = 30_000;
const FIRST_MS = 600_000;
const PAUSES = 10;

export class Pulse {
  #count = -1;
  #movedAt = 0;
  #longestMs: number | null = null;

  /** To be called every second or so. */
  take(count: number, now = performance.now()): void {
    if (count === this.#count) return;
    // The first count is where the crew began.
    if (this.#count !== -1) this.#longestMs = Math.max(this.#longestMs ?? 0, now - this.#movedAt);
    this.#count = count;
    this.#movedAt = now;
  }

  /** While the crew is held there is nothing to notice. */
  rest(now = performance.now()): void {
    this.#movedAt = now;
  }

  /** For how many seconds the crew has stood still; null if it is alive. */
  stillSeconds(now = performance.now()): number | null {
    if (this.#count === -1) return null;
    const limitMs = this.#longestMs === null ? FIRST_MS : Math.max(STILL_MS, PAUSES * this.#longestMs);
    const stillMs = now - this.#movedAt;
    return stillMs > limitMs ? Math.round(stillMs / 1000) : null;
  }
}
