/** The loss of one sample and its gradient, from log-probabilities, the class and class weights. */
export function rowLoss(
  x: readonly number[],
  target: number,
  w: readonly number[],
): { term: number; gradient: number[] } {
  return { term: -w[target] * x[target], gradient: x.map((_, c) => (c === target ? -w[c] : 0)) };
}
