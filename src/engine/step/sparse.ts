import type { Kernels } from "../kernels/kernels.ts";
import type { RowSet } from "../layers/layer.ts";
import type { Plan } from "../plan/model.ts";
import { gradientTiles, type Tile } from "../plan/slices.ts";

/*
 * Sparse gradients: those of a table of which a batch uses few rows. Neither the gradient nor the
 * update looks at the other rows, so a step over a table of a million rows costs what the rows of
 * its batch cost.
 *
 * A thread keeps the set of its own rows that the batches of the present step have used so far.
 * The gradient is zero in all others. So what reads all of it (the norm for clipping, an
 * observation) sees the same gradient as if it had been computed for every row. At the next step
 * only the rows of the set are set back to zero.
 */

export class SparseRows implements RowSet {
  readonly list: number;
  readonly index: number;
  count = 0;
  readonly #kernels: Kernels;
  readonly #part: { parameter: number; begin: number; end: number };

  constructor(kernels: Kernels, { list, index }: Pick<RowSet, "list" | "index">, { parameter, begin }: Tile) {
    // No thread has more rows in its list than in its tile.
    this.list = list + begin * 4;
    this.index = index;
    this.#kernels = kernels;
    this.#part = { parameter, begin: 0, end: 0 };
  }

  /** Visits the rows: at once those that are neighbours here and in the table. Uses one tile. */
  each(visit: (part: Tile) => void): void {
    const { i32 } = this.#kernels;
    const part = this.#part;
    const first = this.list / 4;
    const last = first + this.count;
    for (let at = first; at < last;) {
      part.begin = i32[at];
      do at++;
      while (at < last && i32[at] === i32[at - 1] + 1);
      part.end = i32[at - 1] + 1;
      visit(part);
    }
  }
}

/** The rows of this thread's part of each parameter whose gradient is sparse, by parameter. */
export function sparseRows(kernels: Kernels, plan: Plan, thread: number): Map<number, SparseRows> {
  return new Map(
    gradientTiles(plan, thread).flatMap((tile): [number, SparseRows][] => {
      const { rows } = plan.parameters[tile.parameter];
      return rows ? [[tile.parameter, new SparseRows(kernels, rows, tile)]] : [];
    }),
  );
}
