/**
 * The rows of metrics that a run may still have to write. Each write replaces what is stored from
 * its first row on (store/rows.ts), and begins with the last slice, which is not complete. So the
 * log keeps the rows of that slice. It also keeps all rows since the last checkpoint, because a
 * committed checkpoint must have all rows up to its step, even if Redis has lost some that it had
 * taken.
 */
import type { MetricRow } from "../store/record.ts";
import { sliced } from "../store/rows.ts";

/** What is to be written now. */
export interface RowsToWrite {
  readonly rows: readonly MetricRow[];
  /** The last step before them that was written; null: nothing is known of it. */
  readonly since: number | null;
}

const ALL = Number.NEGATIVE_INFINITY;
const NONE = Number.POSITIVE_INFINITY;

export class RowLog {
  #rows: MetricRow[] = [];
  /** The step with which the last slice begins. */
  #open = ALL;
  /** The least step of the rows that were added since the last `take`. */
  #added = NONE;
  #written = true;

  /** The rows of an evaluation may come after those of later steps. */
  add(rows: readonly MetricRow[]): void {
    for (const row of rows) {
      this.#rows.push(row);
      this.#added = Math.min(this.#added, row.step);
      this.#written = false;
    }
  }

  /** Whether Redis has all rows. */
  get isWritten(): boolean {
    return this.#written;
  }

  take(): RowsToWrite {
    this.#open = Math.min(this.#open, this.#added);
    this.#added = NONE;
    this.#rows.sort((a, b) => a.step - b.step);
    const from = this.#rows.findIndex(({ step }) => step >= this.#open);
    if (from < 0) return { rows: [], since: null };
    return { rows: this.#rows.slice(from), since: this.#rows[from - 1]?.step ?? null };
  }

  /** Redis has these rows. */
  written({ rows }: RowsToWrite): void {
    const last = sliced(rows, true).at(-1);
    if (last !== undefined) this.#open = last[0].step;
    this.#written = this.#added === NONE;
  }

  /** Everything that may be lost is to be written again. */
  rewrite(): void {
    this.#open = ALL;
  }

  /** A checkpoint of this step was committed with all rows up to it. */
  committed(checkpoint: number): void {
    this.#rows = this.#rows.filter(({ step }) => step > checkpoint || step >= this.#open);
  }

  /** Training goes back to a checkpoint, and computes the rows after it again. */
  clear(): void {
    this.#rows = [];
    this.#open = ALL;
    this.#added = NONE;
    this.#written = true;
  }
}
