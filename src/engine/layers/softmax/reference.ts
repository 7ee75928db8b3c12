/** Shares of exp(x) in their sum. */
export function forward(x: readonly number[]): number[] {
  const most = Math.max(...x);
  const exponentials = x.map((x) => Math.exp(x - most));
  const total = exponentials.reduce((sum, e) => sum + e, 0);
  return exponentials.map((e) => e / total);
}

/** Their logarithms. */
export function logarithms(x: readonly number[]): number[] {
  const most = Math.max(...x);
  const total = x.reduce((sum, x) => sum + Math.exp(x - most), 0);
  return x.map((x) => x - most - Math.log(total));
}
