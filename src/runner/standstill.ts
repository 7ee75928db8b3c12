/**
 * Notices that a run stands still, in any stage.
 *
 * A crew stands still if its count of steps and of validated rows has not moved for half a minute.
 * A step of some models takes longer than that. So ten minutes are allowed until the first step is
 * done, and then ten times the longest pause so far. A run that prepares or ends moves with each
 * piece of a dataset that arrives and with each write that Redis answers. The sizes that a job may
 * have bound the time between two of these.
 */
const STILL_MS = 30_000;
const FIRST_MS = 600_000;
const PAUSES = 10;
const PREPARING_MS = 600_000;
const ENDING_MS = 120_000;
const TAKE_MS = 1000;

export class Standstill {
  readonly #fixedMs: number | null;
  #count = -1;
  #movedAt = 0;
  #longestMs: number | null = null;

  /** `fixedMs`: how long a pause may be, if that is known beforehand. */
  constructor(fixedMs: number | null = null) {
    this.#fixedMs = fixedMs;
  }

  /** Must be called about every second. */
  take(count: number, now = performance.now()): void {
    if (count === this.#count) return;
    // The first count is where the crew began, and ends no pause.
    if (this.#count !== -1) this.#longestMs = Math.max(this.#longestMs ?? 0, now - this.#movedAt);
    this.#count = count;
    this.#movedAt = now;
  }

  /** Called instead of `take` while the crew is held: it is not expected to move. */
  rest(now = performance.now()): void {
    this.#movedAt = now;
  }

  /** How many seconds the crew has stood still; null if it moves. */
  stillSeconds(now = performance.now()): number | null {
    if (this.#count === -1) return null;
    const stillMs = now - this.#movedAt;
    return stillMs > this.#limitMs() ? Math.round(stillMs / 1000) : null;
  }

  #limitMs(): number {
    if (this.#fixedMs !== null) return this.#fixedMs;
    return this.#longestMs === null ? FIRST_MS : Math.max(STILL_MS, PAUSES * this.#longestMs);
  }
}

const stages = {
  preparing: { limitMs: PREPARING_MS, who: "the preparation" },
  training: { limitMs: null, who: "the crew" },
  ending: { limitMs: ENDING_MS, who: "the ending" },
};
export type Stage = keyof typeof stages;

/** Notices it through the stages of a run. */
export class StageWatch {
  readonly #held: () => boolean;
  readonly #timer: NodeJS.Timeout;
  #stage: Stage;
  #count: () => number;
  #standstill: Standstill;

  /** While the run is `held`, it is not expected to move. */
  constructor(stage: Stage, count: () => number, held: () => boolean) {
    this.#held = held;
    this.#stage = stage;
    this.#count = count;
    this.#standstill = new Standstill(stages[stage].limitMs);
    this.#timer = setInterval(() => this.take(), TAKE_MS);
    this.take();
  }

  /** `count` changes as long as the run moves. */
  enter(stage: Stage, count: () => number, now = performance.now()): void {
    this.#stage = stage;
    this.#count = count;
    this.#standstill = new Standstill(stages[stage].limitMs);
    this.take(now);
  }

  take(now = performance.now()): void {
    if (this.#held()) this.#standstill.rest(now);
    else this.#standstill.take(this.#count(), now);
  }

  /** A sentence about what stands still in a run of `jobId`; null if the run moves. */
  still(jobId: string, now = performance.now()): string | null {
    const seconds = this.#standstill.stillSeconds(now);
    return seconds === null ? null : `${stages[this.#stage].who} of ${jobId} has stood still for ${seconds} seconds`;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
