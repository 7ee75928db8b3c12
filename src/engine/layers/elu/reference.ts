export const forward = (x: number, { alpha }: { alpha: number }): number => (x > 0 ? x : alpha * Math.expm1(x));

export const derivative = (x: number, { alpha }: { alpha: number }): number => (x > 0 ? 1 : alpha * Math.exp(x));
