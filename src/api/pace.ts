/**
 * Long work that must run on the event loop is cut into slices of a few milliseconds. All such work
 * waits in one queue, and each turn of the event loop runs one slice. So other requests are
 * answered in between, however long the queue is.
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
   * Waits in the queue if the slice is used up or is over. Await it often: it costs almost nothing.
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
