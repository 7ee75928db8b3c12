/**
 * Long work that has to be done on the event loop, in slices of a few milliseconds. All such work
 * waits in one line, and a turn of the loop takes one slice. However much is in the line, other
 * requests are answered in between.
 */
const SLICE_MS = 5;

const waiting: (() => void)[] = [];

function next(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(next);
}

export class Pace {
  #resumed = Number.NEGATIVE_INFINITY;

  /**
   * Waits in the line if the slice is used up, or lies in the past. To be awaited often; it costs
   * next to nothing.
   */
  async turn(): Promise<void> {
    if (performance.now() - this.#resumed < SLICE_MS) return;
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 1) setImmediate(next);
    });
    this.#resumed = performance.now();
  }
}
