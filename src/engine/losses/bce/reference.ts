interface Options {
  /** The weight of this output. */
  weight: number;
}

/** The predictions are probabilities. */
export const domain = (): readonly [number, number] => [0, 1];

export const term = (x: number, y: number, { weight }: Options): number =>
  -weight * (y * Math.max(Math.log(x), -100) + (1 - y) * Math.max(Math.log1p(-x), -100));

export const derivative = (x: number, y: number, { weight }: Options): number =>
  (weight * (x - y)) / Math.max(x * (1 - x), 1e-12);
