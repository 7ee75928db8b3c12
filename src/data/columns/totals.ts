import type { KernelExports } from "../kernels/exports.generated.ts";
import type { Numbers } from "./distinct.ts";

/** What the numbers of a column have in all, in the order in which they come. */
export class Totals {
  min = Infinity;
  max = -Infinity;
  sum = 0;
  /** Without those that are missing. */
  count = 0;

  static of(values: Numbers): Totals {
    const totals = new Totals();
    for (let row = 0; row < values.length; row++) totals.add(values[row]);
    return totals;
  }

  /** NaN is a missing number. */
  add(value: number): void {
    if (Number.isNaN(value)) return;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    this.sum += value;
    this.count++;
  }

  /** Adds those that the kernel has just read, after the sum of those before. */
  addRead(run: KernelExports, cells: number): void {
    // Of two zeros the first one stays, whatever its sign.
    if (run.numbers_lowest() < this.min) this.min = run.numbers_lowest();
    if (run.numbers_highest() > this.max) this.max = run.numbers_highest();
    this.sum = run.numbers_sum();
    this.count += cells - run.missing_always() - run.missing_beside_values();
  }
}
