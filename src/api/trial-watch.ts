/** Which trials of a study have news. */
import { setTimeout as sleep } from "node:timers/promises";
import type { News } from "../queue/news.ts";

/** A wait that is over without news begins again. */
const WAIT_MS = 60_000;
const TOGETHER_MS = 5;

export class TrialWatch {
  readonly #news: News;
  readonly #signal: AbortSignal;
  /** What ends the following of the study, and of each trial's jobs. */
  readonly #study = new AbortController();
  readonly #trials = new Map<number, AbortController>();
  /** The trials that have news. Null: all may have. */
  #told: Set<number> | null = null;
  #hasNews = true;
  #wake = () => {};

  constructor(news: News, id: string, signal: AbortSignal) {
    this.#news = news;
    this.#signal = signal;
    void this.#follow(id, this.#study.signal, () => undefined);
    signal.addEventListener("abort", this.#tell);
  }

  /** Follows the jobs of a trial. */
  watch(number: number, ids: readonly string[]): void {
    if (this.#trials.has(number)) return;
    const stop = new AbortController();
    this.#trials.set(number, stop);
    for (const id of ids) void this.#follow(id, stop.signal, () => this.#told?.add(number));
  }

  forget(number: number): void {
    this.#trials.get(number)?.abort();
    this.#trials.delete(number);
  }

  /** Those among these trials that have news since the last call. */
  take(numbers: readonly number[]): number[] {
    const told = this.#told;
    this.#told = new Set();
    return told === null ? [...numbers] : numbers.filter((number) => told.has(number));
  }

  /** Waits for news since the last wait. If none comes for so long, all trials may have some. */
  async wait(ms: number): Promise<void> {
    if (!this.#hasNews && !this.#signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(() => {
        this.#told = null;
        resolve();
      }, ms);
      await promise;
      clearTimeout(timer);
    }
    // What ends at about the same time is looked at together.
    if (!this.#signal.aborted) await sleep(TOGETHER_MS);
    this.#hasNews = false;
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.#tell);
    for (const number of this.#trials.keys()) this.forget(number);
    this.#study.abort();
  }

  readonly #tell = () => {
    this.#hasNews = true;
    this.#wake();
  };

  async #follow(id: string, signal: AbortSignal, note: () => void): Promise<void> {
    const watch = this.#news.watch(id, ["event"]);
    while (!signal.aborted) {
      if (!(await watch.wait(WAIT_MS, signal)) || signal.aborted) continue;
      note();
      this.#tell();
    }
    watch.close();
  }
}
