export const forward = (x: number, { negative_slope }: { negative_slope: number }): number =>
  x > 0 ? x : negative_slope * x;

export const derivative = (x: number, { negative_slope }: { negative_slope: number }): number =>
  x > 0 ? 1 : negative_slope;
