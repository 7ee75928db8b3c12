export function term(x: number, y: number, { delta }: { delta: number }): number {
  const d = Math.abs(x - y);
  return d <= delta ? (d * d) / 2 : delta * (d - delta / 2);
}

export function derivative(x: number, y: number, { delta }: { delta: number }): number {
  const d = x - y;
  return Math.abs(d) <= delta ? d : delta * Math.sign(d);
}
