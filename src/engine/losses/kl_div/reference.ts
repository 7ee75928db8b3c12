interface Options {
  log_target: boolean;
}

export function term(x: number, y: number, { log_target }: Options): number {
  if (log_target) return Math.exp(y) * (y - x);
  return y === 0 ? 0 : y * (Math.log(y) - x);
}

export const derivative = (_x: number, y: number, { log_target }: Options): number => (log_target ? -Math.exp(y) : -y);
