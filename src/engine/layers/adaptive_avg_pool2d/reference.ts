import type { PlaneWindow } from "../windows.reference.ts";

/**
 * The windows of an adaptive pool over a plane [height, width]. Their means and gradients are those
 * of avg_pool2d.
 */
export function windows([height, width]: readonly number[], [rows, columns]: readonly number[]): PlaneWindow[] {
  return ranges(height, rows).flatMap((row) =>
    ranges(width, columns).map((column) => {
      const places = row.flatMap((i) => column.map((j) => i * width + j));
      return { places, padded: places.length };
    }),
  );
}

function ranges(size: number, count: number): number[][] {
  return Array.from({ length: count }, (_, i) => {
    const begin = Math.floor((i * size) / count);
    const end = Math.ceil(((i + 1) * size) / count);
    return Array.from({ length: end - begin }, (_, j) => begin + j);
  });
}
