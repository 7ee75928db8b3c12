export const forward = (x: number): number => 1 / (1 + Math.exp(-x));

export const derivative = (x: number): number => forward(x) * forward(-x);
