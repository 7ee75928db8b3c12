/**
 * Thrown where the registry lacks what a case is about, or its declaration an option that the case
 * sets.
 */
export class Unsupported extends Error {
  /** What is lacking, in the words of the case: `torch.NAdam`, `CrossEntropyLoss.foo`. */
  readonly member: string;
  constructor(member: string) {
    super(`${member} is not supported`);
    this.member = member;
  }
}

/** A quantity that is further from the reference than its tolerance. */
export interface Failure {
  readonly what: string;
  readonly error: number | null;
  readonly tolerance: number | null;
}

/** What was found wrong with one case. */
export class Verdict {
  readonly failures: Failure[] = [];

  /** Holds every number to |actual − expected| ≤ tolerance × (1 + |expected|). */
  close(what: string, actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
    this.#check(what, actual, expected, tolerance, (error, b) => error / (1 + Math.abs(b)));
  }

  /** Holds every number to |actual − expected| ≤ tolerance. */
  absolutelyClose(what: string, actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
    this.#check(what, actual, expected, tolerance, (error) => error);
  }

  #check(
    what: string,
    actual: ArrayLike<number>,
    expected: readonly number[],
    tolerance: number,
    measure: (error: number, expected: number) => number,
  ): void {
    if (actual.length !== expected.length) {
      this.failures.push({ what: `${what}: ${actual.length} numbers, not ${expected.length}`, error: null, tolerance });
      return;
    }
    const errors = expected.map((b, i) => measure(Math.abs(actual[i] - b), b));
    // NaN is an error of any size.
    const error = errors.some(Number.isNaN) ? Infinity : errors.reduce((a, b) => Math.max(a, b), 0);
    if (error > tolerance) this.failures.push({ what, error, tolerance });
  }
}
