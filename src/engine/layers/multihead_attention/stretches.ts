import type { Shape } from "../../member/shape.ts";

/*
 * How queries, keys and values lie in a sample of what in_projection makes. They are stretches, one
 * for each of its inputs, in which a position's queries, keys and values stand side by side:
 *
 *   one input       [T, q · k · v]
 *   two inputs      [T, q], [S, k · v]
 *   three inputs    [T, q], [S, k], [S, v]
 */

export interface Stretch {
  /** In floats: where it begins in a sample, and the length of a position. */
  readonly offset: number;
  readonly width: number;
  readonly positions: number;
  /** Its part of the rows of in_proj_weight. */
  readonly firstRow: number;
}

export function stretchesOf(inputs: readonly { readonly shape: Shape }[]): Stretch[] {
  const shares = [[3], [1, 2], [1, 1, 1]][inputs.length - 1];
  let [offset, firstRow] = [0, 0];
  return inputs.map(({ shape: [positions, features] }, i) => {
    const width = shares[i] * features;
    const stretch = { offset, width, positions, firstRow };
    offset += positions * width;
    firstRow += width;
    return stretch;
  });
}

/** Where queries, keys or values (0, 1 or 2) of `features` features lie, in floats. */
export function partOf(stretches: readonly Stretch[], part: number, features: number): { offset: number; row: number } {
  const row = part * features;
  const stretch = stretches.findLast(({ firstRow }) => firstRow <= row)!;
  return { offset: stretch.offset + row - stretch.firstRow, row: stretch.width };
}
