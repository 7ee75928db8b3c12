import type { Sliding } from "./sliding.ts";

/** One window over a plane. */
export interface PlaneWindow {
  /** The indices of its elements in the plane, row by row. */
  readonly places: readonly number[];
  /** How many elements it has with those in the padding, but without what lies beyond it. */
  readonly padded: number;
}

/** All windows over a plane, row by row. */
export function windows(rows: Sliding, columns: Sliding): PlaneWindow[] {
  return elements(rows).flatMap((row) =>
    elements(columns).map((column) => ({
      places: row.inside.flatMap((i) => column.inside.map((j) => i * columns.size + j)),
      padded: row.padded * column.padded,
    })),
  );
}

/** What each window takes of one dimension. */
function elements({ size, kernel, stride, padding, dilation, count }: Sliding) {
  return Array.from({ length: count }, (_, i) => {
    const all = Array.from({ length: kernel }, (_, tap) => i * stride - padding + tap * dilation);
    return {
      inside: all.filter((at) => at >= 0 && at < size),
      padded: all.filter((at) => at < size + padding).length,
    };
  });
}
