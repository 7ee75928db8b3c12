import type { PlaneWindow } from "../windows.reference.ts";

/**
 * The place of the largest element of each window of one plane: the first of equal ones, the last
 * NaN if there is one; −1 for a window without elements. The output is the elements there.
 */
export function places(x: ArrayLike<number>, windows: readonly PlaneWindow[]): number[] {
  return windows.map(({ places }) =>
    places.reduce((best, place) => (best < 0 || x[place] > x[best] || Number.isNaN(x[place]) ? place : best), -1),
  );
}

/** The gradient of a plane of `size` elements: each window's goes to the place it took. */
export function backward(places: readonly number[], dy: ArrayLike<number>, size: number): Float64Array {
  const dx = new Float64Array(size);
  places.forEach((place, i) => {
    if (place >= 0) dx[place] += dy[i];
  });
  return dx;
}
