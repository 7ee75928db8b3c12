/** silu(a) · b */
export function gated(a: number, b: number): number {
  return (a / (1 + Math.exp(-a))) * b;
}
