/** A number as it is written in sentences: 0.31, 12.5, 4.2e-7. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return String(Number(value.toPrecision(3)));
  return value.toExponential(2).replace(/\.?0*e\+?/, "e");
}
