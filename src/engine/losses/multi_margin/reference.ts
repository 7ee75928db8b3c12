/** The loss of one sample and its gradient, from outputs, the class and class weights. */
export function rowLoss(
  x: readonly number[],
  target: number,
  w: readonly number[],
  { p, margin }: { p: number; margin: number },
): { term: number; gradient: number[] } {
  const share = w[target] / x.length;
  const missing = x.map((output, c) => (c === target ? 0 : Math.max(0, margin - x[target] + output)));
  const slopes = missing.map((h) => (h > 0 ? p * h ** (p - 1) : 0));
  const pull = slopes.reduce((sum, slope) => sum + slope, 0);
  return {
    term: share * missing.reduce((sum, h) => sum + h ** p, 0),
    gradient: slopes.map((slope, c) => share * (c === target ? -pull : slope)),
  };
}
