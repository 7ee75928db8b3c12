/** A row brought to mean 0 and variance 1; without `centered` to mean square 1. */
export function forward(x: readonly number[], eps: number, centered: boolean): number[] {
  const mean = centered ? average(x) : 0;
  const variance = average(x.map((x) => (x - mean) ** 2));
  return x.map((x) => (x - mean) / Math.sqrt(variance + eps));
}

const average = (x: readonly number[]): number => x.reduce((sum, x) => sum + x, 0) / x.length;
