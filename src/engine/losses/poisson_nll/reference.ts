interface Options {
  log_input: boolean;
  full: boolean;
  eps: number;
}

/** Expected counts are not negative; larger logarithms than these have no float32 count. */
export const domain = ({ log_input }: Options): readonly [number, number] => (log_input ? [-104, 88] : [0, 200]);

export function term(x: number, y: number, { log_input, full, eps }: Options): number {
  const likelihood = log_input ? Math.exp(x) - y * x : x - y * Math.log(x + eps);
  return likelihood + (full && y > 1 ? y * Math.log(y) - y + Math.log(2 * Math.PI * y) / 2 : 0);
}

export const derivative = (x: number, y: number, { log_input, eps }: Options): number =>
  log_input ? Math.exp(x) - y : 1 - y / (x + eps);
