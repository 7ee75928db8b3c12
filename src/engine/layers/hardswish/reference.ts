export const forward = (x: number): number => (x * Math.min(Math.max(0, x + 3), 6)) / 6;

export function derivative(x: number): number {
  if (x <= -3) return 0;
  return x < 3 ? x / 3 + 0.5 : 1;
}
