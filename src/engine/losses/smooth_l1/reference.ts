export function term(x: number, y: number, { beta }: { beta: number }): number {
  const d = Math.abs(x - y);
  return d < beta ? (d * d) / (2 * beta) : d - beta / 2;
}

export function derivative(x: number, y: number, { beta }: { beta: number }): number {
  const d = x - y;
  return Math.abs(d) < beta ? d / beta : Math.sign(d);
}
