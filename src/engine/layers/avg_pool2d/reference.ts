import type { PlaneWindow } from "../windows.reference.ts";

/** The mean of each window of one plane; `divisor` is what its sum is divided by. */
export function forward(
  x: ArrayLike<number>,
  windows: readonly PlaneWindow[],
  divisor: (window: PlaneWindow) => number,
): number[] {
  return windows.map((window) => window.places.reduce((sum, place) => sum + x[place], 0) / divisor(window));
}

/** The gradient of a plane of `size` elements: each window's is shared out among its elements. */
export function backward(
  dy: ArrayLike<number>,
  windows: readonly PlaneWindow[],
  divisor: (window: PlaneWindow) => number,
  size: number,
): Float64Array {
  const dx = new Float64Array(size);
  windows.forEach((window, i) => {
    for (const place of window.places) dx[place] += dy[i] / divisor(window);
  });
  return dx;
}
